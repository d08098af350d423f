# The name of the post's time for `binascii`.
from binascii import *
