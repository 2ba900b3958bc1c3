# Ends processes and deletes their directory when whoever started them is gone.
# Reads "SIGNAL pid" for a process that has started and "- pid" for one that has ended; the end of the input means that nobody is
# left who would stop the others.
directory=$1
watched=""

while read -r operation pid; do
  kept=""
  for entry in $watched; do
    [ "${entry#*:}" = "$pid" ] || kept="$kept $entry"
  done
  [ "$operation" = - ] || kept="$kept $operation:$pid"
  watched=$kept
done

# A server can have been started and not yet be announced.
for file in "$directory"/*/postmaster.pid; do
  [ -r "$file" ] || continue
  read -r pid <"$file"
  case "$watched " in
    *":$pid "*) ;;
    *) watched="$watched QUIT:$pid" ;;
  esac
done

for entry in $watched; do
  kill "-${entry%%:*}" "${entry#*:}" 2>/dev/null
done
for entry in $watched; do
  pid=${entry#*:}
  tries=0
  while kill -0 "$pid" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ]; then
      kill -KILL "$pid" 2>/dev/null
      break
    fi
    sleep 0.1
  done
done

case $directory in
  */pooler-cluster-*) rm -rf "$directory" ;;
esac
