check "names every command" "$(ls lib | sed 's/\.sh$//')" "$(notes help | awk '{ print $2 }' | tr -d : | sort)"
