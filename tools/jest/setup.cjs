'use strict';
const fc = require('fast-check');

// Every run of the test suite uses the same random values, unless FUZZ_SEED sets another seed.
fc.configureGlobal({ seed: Number(process.env.FUZZ_SEED ?? 20261123) });
