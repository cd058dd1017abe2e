# Recap in an image: the repository and its environment, for a user who is not root. Linted with hadolint, not built: no machine that
# the project is tested on may pull images. For the CPU by default:
#
#   docker build -t recap .
#   docker run --rm -it -v recap-work:/home/recap/recap recap make
#
# For a GPU, which the host's NVIDIA Container Toolkit lends, PyTorch's build of another index: cu128 or the like in place of cpu.
#
#   docker build -t recap:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
#   docker run --rm -it --gpus all -v recap-work:/home/recap/recap recap:cuda make
#
# A named volume, as above, keeps experiments and the DVC cache, and starts as a copy of what the image holds. Credentials of
# remotes are given to `docker run` (-e AWS_PROFILE, -v ~/.aws:/home/recap/.aws:ro), never to `docker build`.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS environment
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc=4:12.* libc6-dev=2.36-* make=4.3-* \
 && rm -rf /var/lib/apt/lists/*
# The folder of the last stage: a virtual environment holds absolute paths.
WORKDIR /home/recap/recap
COPY Makefile pyproject.toml requirements.txt README.md LICENSE ./
COPY src src
RUN PIP_NO_CACHE_DIR=1 PIP_EXTRA_INDEX_URL="${TORCH_INDEX}" make venv

FROM python:${PYTHON}-slim-bookworm
RUN apt-get update \
 && apt-get install -y --no-install-recommends git=1:2.39.* make=4.3-* openssh-client=1:9.2* \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 recap
WORKDIR /home/recap/recap
COPY --chown=recap:recap . .
COPY --chown=recap:recap --from=environment /home/recap/recap/.venv .venv
# Make compares dates: what was copied last is not stale.
RUN touch .venv/.ready && chown recap:recap /home/recap/recap .venv/.ready
ENV PATH=/home/recap/recap/.venv/bin:$PATH
# Its number, as orchestrators that forbid root ask for.
USER 1000
# .git is in the image: experiments are commits.
CMD ["make", "help"]
