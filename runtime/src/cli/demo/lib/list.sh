# notes list: every note with its number.
awk '{ print NR ": " $0 }' "$NOTES_FILE"
