#!/usr/bin/env bash
# Entrypoint of the postgres stand-in: keeps the official image's contract, its traps included (a volume counts as
# initialised from the moment PG_VERSION is written, long before init is over).
set -Eeuo pipefail
shopt -s nullglob

readonly root=/var/lib/postgresql
readonly init_folder=/docker-entrypoint-initdb.d

die() {
  printf 'error: %s\n' "$@" >&2
  exit 1
}

# NAME or the content of the file that NAME_FILE names, else the default. Read at every start, whether needed or not:
# a container whose file has gone does not start again.
take_setting() {
  local name=$1 default=${2:-} file_name=${1}_FILE value
  if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then die "both $name and $file_name are set; keep one of them"; fi
  value=${!name:-$default}
  if [ -n "${!file_name:-}" ]; then
    value=$(<"${!file_name}") || die "cannot read ${!file_name}, which $file_name names"
  fi
  export "$name=$value"
  unset "$file_name"
}

make_folders() {
  mkdir -p "$PGDATA" /var/run/postgresql
  chmod 0700 "$PGDATA" || true
  chmod 03775 /var/run/postgresql || true
  if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then mkdir -p "$POSTGRES_INITDB_WALDIR"; fi
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \
      ! -user postgres -exec chown postgres:postgres {} +
  fi
}

# From 18 on the volume belongs one level higher. A mount or data at an old place would be passed over in silence, and
# the database would come up empty.
refuse_data_at_an_old_place() {
  [ "$PGDATA" = "$root/$PG_MAJOR/docker" ] || return 0
  local folder
  for folder in "$root" "$root/data" "$root"/*/docker; do
    if [ -s "$folder/PG_VERSION" ]; then
      die "there is a database in $folder, which PostgreSQL $PG_MAJOR does not use" \
        "mount the volume at $root and upgrade the data, or set PGDATA"
    fi
  done
  if [ "$PG_MAJOR" -ge 18 ] && grep -qF " $root/data " /proc/self/mountinfo; then
    die "$root/data is an unused mount/volume" "PostgreSQL $PG_MAJOR keeps its data in $PGDATA: mount the volume at $root"
  fi
}

require_password() {
  if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    die 'the database is not initialised and the superuser has no password' \
      'set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE (or POSTGRES_HOST_AUTH_METHOD=trust, which lets everyone in)'
  fi
}

create_cluster() {
  local arguments=(--username="$POSTGRES_USER")
  if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then arguments+=(--waldir "$POSTGRES_INITDB_WALDIR"); fi
  # The password goes through a pipe: an argument could be read by everyone in the process list.
  if [ -n "$POSTGRES_PASSWORD" ]; then exec 5< <(printf '%s\n' "$POSTGRES_PASSWORD"); arguments+=(--pwfile=/dev/fd/5); fi
  # By contract a shell line, so that quoted arguments work.
  eval 'initdb "${arguments[@]}" '"$POSTGRES_INITDB_ARGS"
  if [ -n "$POSTGRES_PASSWORD" ]; then exec 5<&-; fi
  local method=${POSTGRES_HOST_AUTH_METHOD:-}
  # The command line may choose how passwords are kept; the server itself knows best.
  if [ -z "$method" ]; then method=$("$@" -C password_encryption); fi
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# Socket only, whatever the command line says, so that nobody connects to a database that is not finished.
start_temporary_server() {
  "$@" -c listen_addresses='' -p 5432 &
  temporary_server=$!
  until pg_isready --quiet --host=/var/run/postgresql --port=5432 --username="$POSTGRES_USER" --dbname=postgres; do
    kill -0 "$temporary_server" 2>/dev/null || die 'the temporary server of the init phase ended by itself'
    sleep 0.1
  done
}

stop_temporary_server() {
  kill -INT "$temporary_server"
  wait "$temporary_server" || die 'the temporary server of the init phase did not stop cleanly'
}

on_socket() {
  PGHOST=/var/run/postgresql PGHOSTADDR='' PGPORT=5432 PGPASSWORD="$POSTGRES_PASSWORD" \
    psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password "$@"
}

create_database() {
  local found
  found=$(on_socket --dbname postgres --set name="$POSTGRES_DB" --tuples-only --no-align \
    <<<"SELECT 1 FROM pg_database WHERE datname = :'name';")
  if [ -z "$found" ]; then on_socket --dbname postgres --set name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'; fi
}

run_init_files() {
  local file
  for file in "$init_folder"/*; do
    case $file in
      *.sh)
        if [ -x "$file" ]; then
          printf '%s: running %s\n' "$0" "$file"
          "$file"
        else
          printf '%s: sourcing %s\n' "$0" "$file"
          # shellcheck source=/dev/null
          . "$file"
        fi
        ;;
      *.sql) printf '%s: running %s\n' "$0" "$file"; on_socket --dbname "$POSTGRES_DB" --file "$file" ;;
      *.sql.gz) printf '%s: running %s\n' "$0" "$file"; gunzip -c "$file" | on_socket --dbname "$POSTGRES_DB" ;;
      *.sql.xz) printf '%s: running %s\n' "$0" "$file"; xzcat "$file" | on_socket --dbname "$POSTGRES_DB" ;;
      *.sql.zst) printf '%s: running %s\n' "$0" "$file"; zstd -dc "$file" | on_socket --dbname "$POSTGRES_DB" ;;
      *) printf '%s: ignoring %s\n' "$0" "$file" ;;
    esac
  done
}

initialise() {
  refuse_data_at_an_old_place
  require_password
  create_cluster "$@"
  start_temporary_server "$@"
  create_database
  # Init scripts call psql themselves and expect to be let in.
  export PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
  run_init_files
  unset PGPASSWORD
  stop_temporary_server
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

# True when the command only asks the server about itself.
only_asks() {
  local argument
  for argument; do
    case $argument in -'?' | --help | --describe-config | -V | --version) return 0 ;; esac
  done
  return 1
}

main() {
  case ${1:-} in -*) set -- postgres "$@" ;; esac
  if [ "${1:-}" = postgres ] && ! only_asks "$@"; then
    take_setting POSTGRES_PASSWORD
    take_setting POSTGRES_USER postgres
    take_setting POSTGRES_DB "$POSTGRES_USER"
    take_setting POSTGRES_INITDB_ARGS
    make_folders
    # Root did what needs root; everything after it, init included, is the postgres user's.
    if [ "$(id -u)" = 0 ]; then
      export HOME=$root
      exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
    fi
    if [ -s "$PGDATA/PG_VERSION" ]; then
      printf '\nThere is a database in %s already: nothing is initialised.\n\n' "$PGDATA"
    else
      initialise "$@"
    fi
  fi
  exec "$@"
}

main "$@"
