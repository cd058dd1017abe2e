"""From what a captioner wrote to a caption."""


def clean_caption(text: str, prompt: str = "") -> str:
    """One line without the prompt's echo, or "" when no word is left.

    Args:
        text: The decoded new tokens.
        prompt: What the caption continues. Some models begin by writing it once more; that echo is cut.
    """
    caption = " ".join(text.split())
    echo = " ".join(prompt.split())
    if echo and caption.lower().startswith(echo.lower()):
        caption = caption[len(echo) :].strip()
    return caption if any(map(str.isalnum, caption)) else ""
