#!/bin/bash
# Base backups of a PostgreSQL 15 or newer that you run yourself, on its own host and as a user who may read its files.
#   base-backup.sh make DATA_DIRECTORY FOLDER    PGHOST, PGPORT, PGUSER, PGPASSWORD as for psql; a superuser
#   base-backup.sh expire FOLDER                 removes what is too old; `make` begins with it
#   base-backup.sh restore FILE NEW_DIRECTORY    start PostgreSQL on NEW_DIRECTORY afterwards
# KEEP_DAYS is 7, or fewer: a backup keeps what the policy says is gone, such as a deleted account.
set -euo pipefail
umask 077

readonly KEEP_DAYS_MAX=7
KEEP_DAYS=${KEEP_DAYS:-$KEEP_DAYS_MAX}

die() {
  printf 'base-backup: %s\n' "$*" >&2
  exit 1
}

[[ $KEEP_DAYS =~ ^[1-9][0-9]*$ ]] && ((KEEP_DAYS <= KEEP_DAYS_MAX)) ||
  die "KEEP_DAYS is from 1 to $KEEP_DAYS_MAX: no backup may be kept for longer."

# By the moment in its name: a copy has another date. What was only begun goes as well.
expire() {
  local oldest file name
  oldest=$(date --utc --date="$KEEP_DAYS days ago" +%Y%m%dT%H%M%SZ)
  for file in "$1"/*.tar.gz "$1"/*.part*; do
    name=${file##*/}
    [[ $name =~ ^[0-9]{8}T[0-9]{6}Z\.(tar\.gz|part(\.gz)?)$ ]] || continue
    if [[ $name == *.part* || $name < $oldest ]]; then rm -f -- "$file"; fi
  done
}

# One session from the start to the stop: with it go the backup and the slot that holds the log back.
ask() {
  local answer='' line
  printf '%s\n\\echo end-of-answer\n' "$1" >&"${session[1]}"
  while IFS= read -r line <&"${session[0]}"; do
    [[ $line == end-of-answer ]] && {
      printf '%s' "$answer"
      return
    }
    answer+=$line$'\n'
  done
  die 'the database ended the session; no backup was made.'
}

# Files that change while they are read (1) are what the log is for; of the log itself only what is written is needed.
pack() {
  tar --warning=no-file-changed "$@" || (($? == 1)) || die 'the files of the database cannot be read.'
}

make() {
  local data=$1 folder=$2 name half
  [[ -s $data/PG_VERSION ]] || die "$data is no data directory of PostgreSQL."
  mkdir -p "$folder"
  exec 9>"$folder/.lock"
  flock --nonblock 9 || die "another backup to $folder is under way."
  expire "$folder"
  name=$(date --utc +%Y%m%dT%H%M%SZ)
  half=$folder/$name.part
  coproc session { exec psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "${PGDATABASE:-postgres}" 9>&-; }
  [[ $(ask "select count(*) from pg_tablespace where spcname not in ('pg_default', 'pg_global');") == 0* ]] ||
    die 'there are tablespaces outside of the data directory; use pg_basebackup.'
  ask "select pg_create_physical_replication_slot('base_backup', true, true);" >/dev/null
  ask "select pg_backup_start('$name', true);" >/dev/null
  pack --create --file="$half" --directory="$data" --exclude=./pg_wal/'*' --exclude=./postmaster.{pid,opts} \
    --exclude=./pg_{replslot,dynshmem,notify,serial,snapshots,stat_tmp,subtrans}/'*' .
  extra=$(mktemp --directory)
  trap 'rm -rf -- "$extra"' EXIT
  ask 'select labelfile from pg_backup_stop(false);' >"$extra/backup_label"
  grep --quiet '^START WAL LOCATION' "$extra/backup_label" || die 'the database did not end the backup.'
  local owner
  owner=$(stat --format=%u:%g "$data/PG_VERSION")
  pack --append --file="$half" --directory="$extra" --owner="${owner%:*}" --group="${owner#*:}" ./backup_label
  pack --append --file="$half" --directory="$data" --exclude='./pg_wal/xlogtemp.*' ./pg_wal
  printf '\\q\n' >&"${session[1]}"
  gzip --fast <"$half" >"$half.gz"
  mv "$half.gz" "$folder/$name.tar.gz"
  rm -f "$half"
  printf '%s\n' "$folder/$name.tar.gz"
}

restore() {
  [[ ! -e $2 || -z $(ls -A "$2") ]] || die "$2 is not empty."
  mkdir -p "$2"
  tar --extract --gzip --file="$1" --directory="$2" --preserve-permissions
}

case "${1:-} $#" in
  'make 3') make "$2" "$3" ;;
  'expire 2') expire "$2" ;;
  'restore 3') restore "$2" "$3" ;;
  *) die 'make DATA_DIRECTORY FOLDER, expire FOLDER, or restore FILE NEW_DIRECTORY' ;;
esac
