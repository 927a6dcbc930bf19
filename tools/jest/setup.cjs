'use strict';
const fc = require('fast-check');

// A run of all tests does the same each time. FUZZ_SEED tries another sequence.
fc.configureGlobal({ seed: Number(process.env.FUZZ_SEED ?? 20261123) });
