"""The real openssl, through subprocess."""

import subprocess


def openssl(*arguments, text_in=None, timeout_s=20):
    """Runs it; returns what it printed (both streams). Fails when it fails."""
    done = subprocess.run(["openssl", *map(str, arguments)], input=text_in, capture_output=True, timeout=timeout_s)
    printed = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, f"openssl {' '.join(map(str, arguments))}\n{printed}"
    return printed
