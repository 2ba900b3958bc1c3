# Ends the servers of a cluster and deletes its directory when whoever started it is gone.
# Reads "+ pid" and "- pid" from standard input; its end means that nobody is left who would stop them.
# SIGQUIT is PostgreSQL's immediate shutdown: the postmaster takes its children along.
directory=$1
pids=""

while read -r operation pid; do
  case $operation in
    +) pids="$pids $pid" ;;
    -)
      kept=""
      for known in $pids; do
        [ "$known" = "$pid" ] || kept="$kept $known"
      done
      pids=$kept
      ;;
  esac
done

# A server can have been started and not yet be announced.
for file in "$directory"/*/postmaster.pid; do
  [ -r "$file" ] || continue
  read -r pid <"$file"
  case " $pids " in
    *" $pid "*) ;;
    *) pids="$pids $pid" ;;
  esac
done

for pid in $pids; do
  kill -QUIT "$pid" 2>/dev/null
done
for pid in $pids; do
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
