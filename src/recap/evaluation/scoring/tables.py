"""Word tables of the VQA answer normaliser and of MMBench's option extraction: data, no logic.

The contractions are the same 120 in the official VQA code (GT-Vision-Lab/VQA@a013f00), MMF (b0ffc7f), lmms-eval
and VLMEvalKit. Their oddities are kept, because scores depend on them: keys with a capital never match
lower-cased text, and "somebody'd" loses its apostrophe.
"""

_CONTRACTIONS = """
aint=ain't  arent=aren't  cant=can't  couldve=could've  couldnt=couldn't  couldn'tve=couldn't've
couldnt've=couldn't've  didnt=didn't  doesnt=doesn't  dont=don't  hadnt=hadn't  hadnt've=hadn't've
hadn'tve=hadn't've  hasnt=hasn't  havent=haven't  hed=he'd  hed've=he'd've  he'dve=he'd've  hes=he's  howd=how'd
howll=how'll  hows=how's  Id've=I'd've  I'dve=I'd've  Im=I'm  Ive=I've  isnt=isn't  itd=it'd  itd've=it'd've
it'dve=it'd've  itll=it'll  let's=let's  maam=ma'am  mightnt=mightn't  mightnt've=mightn't've
mightn'tve=mightn't've  mightve=might've  mustnt=mustn't  mustve=must've  neednt=needn't  notve=not've
oclock=o'clock  oughtnt=oughtn't  ow's'at='ow's'at  'ows'at='ow's'at  'ow'sat='ow's'at  shant=shan't
shed've=she'd've  she'dve=she'd've  she's=she's  shouldve=should've  shouldnt=shouldn't  shouldnt've=shouldn't've
shouldn'tve=shouldn't've  somebody'd=somebodyd  somebodyd've=somebody'd've  somebody'dve=somebody'd've
somebodyll=somebody'll  somebodys=somebody's  someoned=someone'd  someoned've=someone'd've  someone'dve=someone'd've
someonell=someone'll  someones=someone's  somethingd=something'd  somethingd've=something'd've
something'dve=something'd've  somethingll=something'll  thats=that's  thered=there'd  thered've=there'd've
there'dve=there'd've  therere=there're  theres=there's  theyd=they'd  theyd've=they'd've  they'dve=they'd've
theyll=they'll  theyre=they're  theyve=they've  twas='twas  wasnt=wasn't  wed've=we'd've  we'dve=we'd've  weve=we've
werent=weren't  whatll=what'll  whatre=what're  whats=what's  whatve=what've  whens=when's  whered=where'd
wheres=where's  whereve=where've  whod=who'd  whod've=who'd've  who'dve=who'd've  wholl=who'll  whos=who's
whove=who've  whyll=why'll  whyre=why're  whys=why's  wont=won't  wouldve=would've  wouldnt=wouldn't
wouldnt've=wouldn't've  wouldn'tve=wouldn't've  yall=y'all  yall'll=y'all'll  y'allll=y'all'll  yall'd've=y'all'd've
y'alld've=y'all'd've  y'all'dve=y'all'd've  youd=you'd  youd've=you'd've  you'dve=you'd've  youll=you'll
youre=you're  youve=you've
"""
CONTRACTIONS = dict(pair.split("=") for pair in _CONTRACTIONS.split())

# Nothing above ten is mapped.
NUMBER_WORDS = {
    "none": "0",
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}

ARTICLES = frozenset({"a", "an", "the"})

# In the order in which the references visit them. Full stop, colon, apostrophe and currency signs are not among them.
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'

# Sentences that VLMEvalKit (e8e78f05) reads as "the model refused", and its mark of a failed request.
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
FAILED_REQUEST = "Failed to obtain answer via API"
