notes add Buy milk
notes add call Ada
check "finds a word" "1: Buy milk" "$(notes search milk)"
check "ignores case" "2: call Ada" "$(notes search ADA)"
check "prints nothing when nothing fits" "" "$(notes search bread)"
