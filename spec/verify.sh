#!/bin/sh
# Checks the chain of a journal with a POSIX shell, coreutils and grep, and nothing of ours.
#
#   sh verify.sh DIRECTORY     (a feature's: STATE/journal/FEATURE)
#
# Exit 0: every line carries the digest of its own bytes and continues the line before it.
# Exit 1: one does not, and it is named. Exit 2: it cannot be checked.
# What the records say, and the objects that they name, are not checked here.
LC_ALL=C
export LC_ALL
cd "${1:?give the directory of the journal of a feature}" || exit 2
# A wrong directory must not look like a sound journal.
if ! ls | grep -qE '^[0-9]+-[A-Za-z0-9._-]+\.jsonl$'; then
    echo "there is no journal in $1"
    exit 2
fi

prev=0000000000000000000000000000000000000000000000000000000000000000
seq=0
torn=

fail() {
    echo "record $seq: $1 ($file)"
    exit 1
}

digest() {
    sha256sum | cut -d ' ' -f 1
}

for file in $(ls | grep -E '^[0-9]+-[A-Za-z0-9._-]+\.jsonl$' | sort -n); do
    [ -s "$file" ] || continue
    if [ -n "$torn" ]; then
        file=$torn
        fail "the line has no end, and a later file follows"
    fi

    # A shell drops NUL bytes and would not see one that was put in. No line can hold a byte 0 or 1.
    damaged=$(tr '\000' '\001' <"$file" | grep -n "$(printf '\001')" | head -n 1 | cut -d : -f 1)
    number=0
    while IFS= read -r line; do
        number=$((number + 1))
        [ "$number" != "$damaged" ] || fail "it holds a byte that no line can hold"
        body=${line%,\"self\":*}
        self=$(printf '%s' "$body" | digest)
        [ "$line" = "$body,\"self\":\"$self\"}" ] || fail "its bytes do not have the digest that it carries"
        case $body in
            "{\"prev\":\"$prev\",\"rec\":{"*) ;;
            *) fail "it does not continue the line before it" ;;
        esac
        named=${body##*\"seq\":}
        [ "${named%%,*}" = "$seq" ] || fail "it has another number"
        prev=$self
        seq=$((seq + 1))
    done <"$file"

    # Bytes without a line's end: an append that was cut, unless it is a whole line and one byte more.
    if [ "$(tail -c 1 "$file" | wc -l)" -eq 0 ]; then
        torn=$file
        bytes=$(($(tail -n 1 "$file" | wc -c)))
        if [ "$bytes" -gt 76 ]; then
            self=$(tail -n 1 "$file" | head -c $((bytes - 76)) | digest)
            seal=$(tail -n 1 "$file" | head -c $((bytes - 1)) | tail -c 75 | tr '\000' '\001')
            [ "$seal" != ",\"self\":\"$self\"}" ] || fail "the end of the line was changed"
        fi
    fi
done

echo "$seq records, the last one is $prev"
[ -z "$torn" ] || echo "torn: $bytes bytes of record $seq in $torn, an append that was cut"
