notes add buy milk
notes add call Ada
notes remove 1
check "removes the note of that number" "1: call Ada" "$(notes list)"
