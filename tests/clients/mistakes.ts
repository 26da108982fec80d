// What must not compile: each line under `@ts-expect-error` is refused, or the compiler complains about that.

import createClient from "openapi-fetch";
import type { components, paths } from "./mallard.js";

const mallard = createClient<paths>({ baseUrl: "http://127.0.0.1:8080" });
const user = "5d48a1f5fd1a4d1be0d4a1c1";
const mailbox = "5d48a1f5fd1a4d1be0d4a1c2";

// @ts-expect-error: no such path
await mallard.GET("/accounts");

// @ts-expect-error: the path has another parameter
await mallard.GET("/users/{id}", { params: { path: { account: user } } });

// @ts-expect-error: no such field
({ username: "ada", password: "correct horse", adress: "" }) satisfies components["schemas"]["CreateUserRequest"];

// @ts-expect-error: a required field is missing
await mallard.POST("/users", { body: { password: "correct horse" } });

// @ts-expect-error: a field of another type
await mallard.POST("/users", { body: { username: "ada", password: "correct horse", quota: [] } });

await mallard.GET("/users/{user}/mailboxes/{mailbox}/messages", {
  // @ts-expect-error: no such parameter
  params: { path: { user, mailbox }, query: { unread: true } },
});

const { data, error } = await mallard.GET("/users/{user}/mailboxes", { params: { path: { user } } });

// @ts-expect-error: the answer has no such field
console.log(data?.mailboxes);

// @ts-expect-error: this code cannot come here
console.log(error?.code === "MessageNotFound");
