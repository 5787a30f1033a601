notes add buy milk
notes add call Ada
check "writes a Markdown list" "- buy milk - call Ada" "$(notes export | paste -s -d ' ' -)"
check "takes a word to search for" "- call Ada" "$(notes export ada)"
