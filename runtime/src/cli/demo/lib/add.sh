# notes add TEXT: keeps a note.
printf '%s\n' "$*" >> "$NOTES_FILE"
