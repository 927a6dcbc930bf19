const { join } = require('node:path');
const shared = require('../../jest.config');

/**
 * Runs the tests of this package alone. `npm test` of the repository runs them too.
 * @type {import('jest').Config}
 */
module.exports = {
  ...shared,
  rootDir: join(__dirname, '../..'),
  roots: [__dirname],
  globalSetup: '<rootDir>/tools/jest/build-packages.ts',
  globalTeardown: null,
};
