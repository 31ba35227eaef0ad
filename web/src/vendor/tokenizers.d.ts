// The build puts the library itself here; for the type checker it is the package.
export * from "@huggingface/tokenizers";
