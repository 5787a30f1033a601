#!/bin/sh
# Tests one command, or every command there is: sh tests/run.sh [NAME]
set -eu

cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
notes() { NOTES_FILE=$work/notes sh ./notes "$@"; }

# check WHAT EXPECTED ACTUAL
check() {
    if [ "$2" = "$3" ]; then
        echo "ok   $name $1"
    else
        printf 'FAIL %s %s: expected "%s", got "%s"\n' "$name" "$1" "$2" "$3"
        failed=$((failed + 1))
    fi
}

failed=0 ran=0
for file in tests/*.test.sh; do
    name=$(basename "$file" .test.sh)
    if [ -n "${1:-}" ] && [ "$name" != "$1" ]; then continue; fi
    # Without a name, a command that nobody has written yet is no failure.
    if [ -z "${1:-}" ] && [ ! -f "lib/$name.sh" ]; then continue; fi
    rm -f "$work/notes"
    ran=$((ran + 1))
    . "./$file"
done
if [ "$ran" -eq 0 ]; then echo "FAIL there is no test for '${1:-}'"; exit 1; fi
echo "$ran tested, $failed failed"
[ "$failed" -eq 0 ]
