// Runs where modules do not: a page opened from a disk says what it needs.
if (location.protocol === "file:") {
  const place = document.querySelector("#live");
  if (place)
    place.textContent =
      "Browsers do not let a page on a disk load a model. In a terminal in the folder of this site run: " +
      "python -m http.server 8000 --bind 127.0.0.1, then open http://127.0.0.1:8000/live/ here.";
}
