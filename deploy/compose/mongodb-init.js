// Runs once, on the empty database: creates the user of Parley, who may use its database and nothing else.
const { readFileSync } = require('fs');

db.getSiblingDB('parley').createUser({
  user: 'parley',
  pwd: readFileSync('/run/mongodb/mongodb_parley_password', 'utf8').trim(),
  roles: ['readWrite', 'dbAdmin'],
});
