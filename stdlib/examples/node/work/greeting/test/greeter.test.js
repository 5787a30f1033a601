import assert from "node:assert/strict";
import test from "node:test";

import { greeting } from "../src/greeter.js";

test("it names whom it greets", () => {
  assert.equal(greeting("you"), "Hello, you");
});
