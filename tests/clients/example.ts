// Work with an account and its mail, with openapi-fetch and types generated from the OpenAPI document.

import createClient from "openapi-fetch";
import type { components, paths } from "./mallard.js";

type Schemas = components["schemas"];

const mallard = createClient<paths>({
  baseUrl: process.env.MALLARD_URL ?? "http://127.0.0.1:8080",
  headers: { "X-Access-Token": process.env.MALLARD_TOKEN },
});

/** Return the answer, or throw; all errors have the same shape. */
function checked<Answer>(result: { data?: Answer; error?: Schemas["Error"] }): Answer {
  if (result.data === undefined) throw new Error(`${result.error?.code}: ${result.error?.error}`);
  return result.data;
}

// Create an account and list its mailboxes.
const { id: user } = checked(
  await mallard.POST("/users", {
    body: {
      username: "ada",
      password: "correct horse battery",
      address: "ada@example.com",
      name: "Ada",
    } satisfies Schemas["CreateUserRequest"],
  }),
);
const { results: mailboxes } = checked(
  await mallard.GET("/users/{user}/mailboxes", { params: { path: { user } } }),
);
console.log("mailboxes:", mailboxes.map(({ path, specialUse }) => specialUse ?? path).join(" "));
const mailbox = mailboxes.find(({ path }) => path === "INBOX")!.id;

// Upload, list, read, flag and find a message.
const uploaded = checked(
  await mallard.POST("/users/{user}/mailboxes/{mailbox}/messages", {
    params: { path: { user, mailbox } },
    body: {
      from: { name: "Grace", address: "grace@example.org" },
      to: [{ address: "ada@example.com" }],
      subject: "Compilers",
      text: "Dear Ada, they work.",
      unseen: true,
    } satisfies Schemas["UploadMessageRequest"],
  }),
);
const message = uploaded.message.id;
const listing = checked(
  await mallard.GET("/users/{user}/mailboxes/{mailbox}/messages", {
    params: { path: { user, mailbox }, query: { unseen: true, limit: 10 } },
  }),
);
console.log("unread:", listing.results.map(({ id, subject }) => `${id} ${subject}`).join());
const read = checked(
  await mallard.GET("/users/{user}/mailboxes/{mailbox}/messages/{message}", {
    params: { path: { user, mailbox, message }, query: { markAsSeen: true } },
  }),
);
console.log("read:", read.from?.name, read.text);
checked(
  await mallard.PUT("/users/{user}/mailboxes/{mailbox}/messages", {
    params: { path: { user, mailbox } },
    body: { message: String(message), flagged: true } satisfies Schemas["UpdateMessageRequest"],
  }),
);
const found = checked(
  await mallard.GET("/users/{user}/search", { params: { path: { user }, query: { query: "compilers" } } }),
);
console.log("found:", found.results.map(({ subject, seen, flagged }) => `${subject} ${seen} ${flagged}`).join());

// Send a reply.
const sent = checked(
  await mallard.POST("/users/{user}/submit", {
    params: { path: { user } },
    body: {
      reference: { mailbox, id: message, action: "reply" },
      to: [{ address: "grace@example.org" }],
      text: "Of course they do.",
    } satisfies Schemas["SubmitMessageRequest"],
  }),
);
console.log("sent:", Boolean(sent.message.queueId));

// Handle an error by its code; the types know which codes this operation can return.
const { error } = await mallard.GET("/users/{user}/mailboxes/{mailbox}/messages/{message}", {
  params: { path: { user, mailbox, message: 4711 } },
});
if (error?.code === "MessageNotFound") console.log("failed:", error.error);
