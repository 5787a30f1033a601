check "counts no notes" "0 notes" "$(notes count)"
notes add buy milk
notes add call Ada
check "counts two notes" "2 notes" "$(notes count)"
