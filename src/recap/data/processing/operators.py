"""Recap's own Data-Juicer operators, registered under the names that recipes use.

`blip2_captioned_filter`       keeps rows whose image has a BLIP-2 caption
`blip2_caption_lookup_mapper`  puts that caption in the place of the row's own, everywhere or where it is wanted
`alignment_filter`             keeps rows whose caption fits its image by a score within bounds
`best_aligned_selector`        keeps the rows whose captions fit best
`caption_shuffle_mapper`       a placebo: captions of other images
`caption_length_mapper`        a placebo: raw words, as many as the caption has
`leaked_image_filter`          drops rows whose image a benchmark asks about

They know an image by its name and open none. What they read (`captions_path`, `raw_captions_path`, `index_path`) and
the seed that they draw by are supplied by the stage, so recipes name neither. BLIP-2 does not run here: captions are
made once, by the stage before, and serve every recipe. `leaked_path` is the list that `explore` makes.

`dj-process --custom-operator-paths` takes this file too (docs/DATA.md); there a recipe names the paths.
"""

from recap.data.processing.ops.alignment import AlignmentFilter, BestAlignedSelector
from recap.data.processing.ops.leaks import LeakedImageFilter
from recap.data.processing.ops.lookup import Blip2CaptionedFilter, Blip2CaptionLookupMapper
from recap.data.processing.ops.placebos import CaptionLengthMapper, CaptionShuffleMapper

CLASSES = (
    Blip2CaptionedFilter, Blip2CaptionLookupMapper, AlignmentFilter, BestAlignedSelector, CaptionShuffleMapper,
    CaptionLengthMapper, LeakedImageFilter,
)  # fmt: skip

OWN = {operator._name: operator for operator in CLASSES}
