// Node's https module as a client: node visit.cjs URL CA
const https = require("node:https");
const fs = require("node:fs");

const [url, ca] = process.argv.slice(2);
https
  .get(url, { ca: fs.readFileSync(ca), timeout: 20000 }, (response) => response.resume())
  .on("error", (error) => {
    console.error(`refused: ${error.message}`);
    process.exitCode = 1;
  });
