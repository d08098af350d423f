# Starts main.py on MicroPython's Unix port as a board does: its folder is the root of the file system, and `machine` is
# known without an import, because the firmware's own start-up has imported it.
import sys
import vfs

folder = sys.argv[1]
vfs.umount("/")
vfs.mount(vfs.VfsPosix(folder), "/")
sys.path[:] = ["/", ".frozen", "/lib"]

import machine

with open("/main.py") as file:
    program = file.read()
exec(program, {"machine": machine, "__name__": "__main__"})
