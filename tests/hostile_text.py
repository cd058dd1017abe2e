"""Texts that would do something if whatever shows them obeyed them; used by the tests of everything that shows text."""

ESCAPES = "\x1b[2J\x1b[31mred\x1b]8;;https://evil.example\x07link\x1b]8;;\x07\x9b31m\x08\x7f"
TURNED = "invoice\u202egnp.exe\u2066\u2069\u200b\ufeff"
SCRIPT = "</script></style></title><script>window.hit = 1</script><img src=x onerror='window.hit=1'>"
LINK = (
    "![pixel](https://evil.example/x.png) [here](javascript:alert(1)) www.evil.example <https://evil.example> @all #1"
)
BREAKS = "a | b ` c `` d\n\n# heading\r\n- item\n\n<details>"
FORMULA = '=HYPERLINK("https://evil.example","x")'
MATHS = "cost$\\frac{5$"
LONG = "w" * 100_000
ALL = (ESCAPES, TURNED, SCRIPT, LINK, BREAKS, FORMULA, MATHS, LONG)
