notes add buy milk
check "keeps the text" "buy milk" "$(cat "$work/notes")"
