// Lighthouse over the customer's way, as a phone on a slow network: node bench/lighthouse.mjs BASE CHROMIUM MODULES
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [base, chromium, modules] = process.argv.slice(2);
const load = async (name) => import(pathToFileURL(createRequire(`${modules}/x.js`).resolve(name)));
const { startFlow } = await load("lighthouse");
const { default: puppeteer } = await load("puppeteer-core");

const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage();
const flags = { onlyCategories: ["performance", "accessibility", "best-practices"], disableStorageReset: true };
const flow = await startFlow(page, { flags });
const names = [];
const measure = async (name, where) => {
  names.push(name);
  await flow.navigate(typeof where === "string" ? base + where : where);
};
const press = (selector) => () => page.click(selector);

await measure("entry", "/");
await measure("policy", "/policy/");
await measure("form", "/cancel/");
await page.type("#id_account_number", "AT-104303");
await page.type("#id_username", "thirtyfirst");
await page.type("#id_email", "ultimo@customer.example");
await page.click("[name=reason]");
await measure("check", press("[value=check]"));
await measure("confirmation", press("[value=confirm]"));

// The proving link lies in the mail of the local run
let link = null;
for (let tries = 0; tries < 60 && !link; tries += 1) {
  await new Promise((later) => setTimeout(later, 500));
  await page.goto(`${base}/local/mail/`);
  const mail = await page.$$eval(".steps li", (all) => {
    const mine = all.find((one) => one.textContent.includes("ultimo@customer.example"));
    return mine?.querySelector("a")?.getAttribute("href") ?? null;
  });
  if (!mail) continue;
  await page.goto(base + mail);
  link = await page.$$eval("main a", (all) => all.map((a) => a.href).find((href) => href.includes("/requests/proof/")) ?? null);
}
if (!link) throw new Error("The mail with the proving link did not come.");
await measure("proof", new URL(link).pathname);
await measure("confirmed", press("main .btn-primary"));
const status = page.url().replace(/received\/$/, "").replace(base, "");
await measure("status", status);
await measure("German page", "/cancel/?country=DE");

const { steps } = await flow.createFlowResult();
const rows = steps.map(({ lhr }, at) => {
  const of = (name) => Math.round(lhr.categories[name].score * 100);
  const failed = Object.values(lhr.audits).filter((one) => one.score !== null && one.score < 0.9 && one.scoreDisplayMode === "binary");
  return { page: names[at], performance: of("performance"), accessibility: of("accessibility"), practices: of("best-practices"), failed: failed.map((one) => one.id) };
});
console.log(JSON.stringify(rows));
await browser.close();
