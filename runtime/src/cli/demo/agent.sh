#!/bin/sh
# Stands in for an AI agent in `loop demo`: one known answer per unit of the plan, no network.
# Like a real one it gets its prompt on standard input, works in the current directory, and may be wrong.
set -eu

prompt=$(cat)
asked() { case $prompt in *"$1"*) return 0 ;; *) return 1 ;; esac; }

mkdir -p lib docs
case $LOOP_UNIT in
count)
    if asked 'exactly one, `1 note`'; then
        cat > lib/count.sh <<'END'
# notes count: how many notes there are.
awk 'END { print NR, (NR == 1 ? "note" : "notes") }' "$NOTES_FILE"
END
    else
        cat > lib/count.sh <<'END'
# notes count: how many notes there are.
awk 'END { print NR, "notes" }' "$NOTES_FILE"
END
    fi
    ;;
search)
    # The first answer takes upper and lower case for different letters. Only the evidence of the failed test in the
    # prompt of the second attempt leads to the right one.
    ignore=
    if asked 'FAIL search ignores case'; then ignore=' -i'; fi
    cat > lib/search.sh <<END
# notes search WORD: the notes that contain the word, with their numbers.
awk '{ print NR ": " \$0 }' "\$NOTES_FILE" | grep$ignore -F -e "\$1" || :
END
    ;;
remove)
    cat > lib/remove.sh <<'END'
# notes remove NUMBER: forgets a note.
kept=$(awk -v number="$1" 'NR != number' "$NOTES_FILE")
if [ -n "$kept" ]; then printf '%s\n' "$kept" > "$NOTES_FILE"; else : > "$NOTES_FILE"; fi
END
    ;;
export)
    cat > lib/export.sh <<'END'
# notes export [WORD]: the notes, or those that contain the word, as a Markdown list.
set -- "${1:-}"
. "$here/lib/search.sh" | sed 's/^[0-9]*: /- /'
END
    ;;
help)
    cat > lib/help.sh <<'END'
# notes help: every command in one line.
sed -n 's/^# \(notes [a-z].*\)/\1/p' "$here"/lib/*.sh
END
    ;;
guide)
    {
        echo '# Notes'
        echo
        sed -n 's/^# \(notes [^:]*\): \(.*\)/- `\1`: \2/p' lib/*.sh
    } > docs/guide.md
    ;;
*)
    echo "no answer is known for the unit '$LOOP_UNIT'" >&2
    exit 1
    ;;
esac
echo "All done. $LOOP_UNIT is complete and every test passes."
