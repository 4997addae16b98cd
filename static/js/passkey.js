// Passkeys (W3C Web Authentication). Without this script, or without passkeys in the browser, the code by e-mail remains.
const form = document.querySelector("form[data-passkey]");
const able =
  window.PublicKeyCredential?.parseCreationOptionsFromJSON && window.PublicKeyCredential?.parseRequestOptionsFromJSON;
const trouble = document.querySelector("[data-passkey-trouble]");

const ceremony = {
  add: async () => {
    const told = JSON.parse(document.querySelector("#passkey_options").textContent);
    return navigator.credentials.create({
      publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(told.publicKey),
    });
  },
  signin: async () => {
    const answer = await fetch(form.action, { headers: { "X-Requested-With": "XMLHttpRequest" } });
    const told = (await answer.json()).request_options;
    return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(told.publicKey) });
  },
};

if (form && able) {
  document.querySelectorAll("[data-passkey-able]").forEach((part) => {
    part.hidden = false;
  });
  document.querySelectorAll("[data-passkey-unable]").forEach((part) => {
    part.hidden = true;
  });
  form.addEventListener("submit", async (event) => {
    if (form.elements.credential.value) return;
    event.preventDefault();
    trouble.hidden = true;
    try {
      const made = await ceremony[form.dataset.passkey]();
      form.elements.credential.value = JSON.stringify(made.toJSON());
      form.submit();
    } catch {
      trouble.hidden = false; // taken back by the person, or refused by the device
    }
  });
}
