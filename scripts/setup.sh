#!/bin/sh
# Find a Python that can run the project and let it create .venv. PYTHON=… chooses one.
set -eu
cd "$(dirname "$0")/.."

for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        exec "$candidate" scripts/create_environment.py "$@"
    fi
done

echo "Review Fetcher needs Python 3.11 or newer, and found none as python3, python3.11 … python3.14 or python." >&2
echo "Install one (Debian and Ubuntu: apt-get install python3), or name it: make setup PYTHON=/path/to/python3" >&2
exit 1
