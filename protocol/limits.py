"""Every limit of the protocol in one place; README.md gives the reason for each."""

MIN_SIDE = 64
"""Shortest side of a request, in pixels."""
MAX_SIDE = 2048
"""Longest side of a request, a layer or an image, in pixels."""
MAX_PROMPT = 4000
"""Longest prompt or negative prompt, in characters."""
MAX_STEPS = 150
MAX_CFG = 30.0
MAX_WEIGHT = 2.0
"""Largest weight of the LayerDiffuse weights."""
MAX_BATCH = 16
MAX_SEED = 2**32 - 1
"""Largest seed; a random seed is drawn by the client, so that -1 never travels."""

MAX_NAME = 255
"""Longest name: of a client, a model, a layer, a value of `made_with`; in characters."""
MAX_NOTE = 1000
"""Longest sentence for people: an error's message or hint, a model's note; in characters."""
MAX_LAYERS = 64
"""Most layers, and so images, of one result."""
MAX_MADE_WITH = 32
"""Most entries of `made_with`."""
MAX_MODELS = 256
"""Most models the server tells a client about."""
MAX_OBJECTS = 2000
"""Most names in a model's list of objects."""
MAX_REASON = 100
"""Longest reason why a model cannot do an operation, in characters."""
MAX_LORAS = 500
"""Most LoRAs the server tells a client about."""
MAX_FILES = 200
"""Most files of the catalogue, and names in one installation."""
MAX_PATH = 4096
"""Longest path of a folder on the machine of the backend, in characters."""
MAX_FILE = 2**53 - 1
"""Most bytes of a file or of several: what JSON numbers hold everywhere."""
MAX_PREVIEW = 160
"""Longest side of a preview, in pixels."""
MAX_LINES = 500
"""Most lines of a log in `diagnostics`."""

MAX_QUEUE = 64
"""Most jobs the server holds for one client, waiting, running or not yet acknowledged."""
MAX_HELD = 2 * 1024**3
"""Most bytes of pixels the server promises to hold for one client."""
MAX_JOBS_ALL = 1024
"""Most jobs the server holds for all clients together."""
MAX_HELD_ALL = 4 * 1024**3
"""Most bytes of pixels the server promises to hold for all clients together."""

CHUNK = 1024**2
"""Most bytes of pixels in one binary message."""
MAX_TEXT = 512 * 1024
"""Longest JSON message, in bytes of UTF-8."""
