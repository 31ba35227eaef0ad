import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  { languageOptions: { globals: { ...globals.browser, ...globals.serviceworker } }, rules: { eqeqeq: "error" } },
  { files: ["test/**"], languageOptions: { globals: globals.node } },
];
