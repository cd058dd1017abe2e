"""What exists in the street world: the words on its signs, what they mean, its objects and its colours."""

# The word on the sign -> what the place or the sign is for, in one word (the outside knowledge of OK-VQA).
SIGN_WORDS = {
    "airport": "flying",
    "bakery": "bread",
    "bank": "money",
    "barber": "haircuts",
    "books": "reading",
    "butcher": "meat",
    "cafe": "coffee",
    "chapel": "praying",
    "cinema": "movies",
    "clinic": "health",
    "court": "law",
    "dentist": "teeth",
    "diner": "meals",
    "fabric": "sewing",
    "ferry": "sailing",
    "florist": "flowers",
    "fuel": "gasoline",
    "garage": "repairs",
    "gym": "exercise",
    "harbor": "ships",
    "hotel": "sleeping",
    "jewels": "rings",
    "kiosk": "newspapers",
    "laundry": "washing",
    "market": "vegetables",
    "museum": "history",
    "music": "songs",
    "opera": "singing",
    "police": "safety",
    "pool": "swimming",
    "post": "mail",
    "pub": "beer",
    "school": "learning",
    "shoes": "walking",
    "station": "trains",
    "sushi": "fish",
    "tailor": "suits",
    "taxi": "rides",
    "toys": "playing",
    "zoo": "animals",
}

# The object -> its plural, and the wider class that it belongs to.
KINDS = {
    "bench": ("benches", "furniture"),
    "bicycle": ("bicycles", "vehicle"),
    "bus": ("buses", "vehicle"),
    "car": ("cars", "vehicle"),
    "cat": ("cats", "animal"),
    "dog": ("dogs", "animal"),
    "house": ("houses", "building"),
    "lamp": ("lamps", "furniture"),
    "tree": ("trees", "plant"),
    "truck": ("trucks", "vehicle"),
}

COLOURS = {
    "red": (205, 32, 38),
    "orange": (240, 130, 20),
    "yellow": (245, 215, 40),
    "green": (40, 150, 60),
    "blue": (35, 80, 200),
    "purple": (130, 50, 165),
    "white": (246, 246, 246),
    "black": (26, 26, 28),
}

SIGN_COLOURS = ("white", "yellow", "green", "blue", "red")
# Sign colours that need light letters; the others carry black ones.
DARK_SIGNS = frozenset({"green", "blue", "red"})

SIDES = ("left", "right")  # of the street

COUNT_WORDS = {1: "one", 2: "two", 3: "three", 4: "four"}
