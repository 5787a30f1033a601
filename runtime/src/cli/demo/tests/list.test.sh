notes add buy milk
notes add call Ada
check "numbers the notes" "1: buy milk 2: call Ada" "$(notes list | paste -s -d ' ' -)"
