#!/bin/sh
# Creates ./secrets once: the signing and encryption keys, the passwords and the key file of MongoDB, and the configuration of
# coturn with its secret. Existing files are kept. Keep a copy of ENCRYPTION_KEY, apart from the backups of the database.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
if [ -e secrets/parley.env ]; then
  echo 'secrets/parley.env exists: nothing was changed.'
  exit 0
fi
openssl rand -base64 756 >secrets/mongodb-keyfile
openssl rand -hex 24 >secrets/mongodb-root-password
password=$(openssl rand -hex 24)
printf '%s' "$password" >secrets/mongodb-parley-password
turn_secret=$(openssl rand -hex 32)
sed "s/^static-auth-secret=.*/static-auth-secret=$turn_secret/" turnserver.conf >secrets/turnserver.conf
# coturn runs as another user of its container.
chmod 644 secrets/turnserver.conf
cat >secrets/parley.env <<END
JWT_SECRET=$(openssl rand -base64 48)
ENCRYPTION_KEY=$(openssl rand -base64 48)
TURN_SECRET=$turn_secret
MONGODB_URI=mongodb://parley:$password@mongodb:27017/?replicaSet=rs0&authSource=parley
REDIS_URL=redis://redis:6379
END
echo 'Created secrets. Change realm in secrets/turnserver.conf, and keep a copy of secrets/parley.env in a safe place.'
