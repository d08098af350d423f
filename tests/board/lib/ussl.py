# The name of the post's time for `ssl`.
from ssl import *
