# The name of the post's time for `struct`.
from struct import *
