"""Hostile output: what a model writes is never script, loads nothing and leads nowhere but where it says."""
import browser
from browser import expect


class Hostile(browser.PageTest):
    def check(self, page):
        self.assertIsNone(page.evaluate("window.hacked ?? null"))
        bad = page.evaluate("""() => {
            const out = [];
            for (const e of document.querySelectorAll(".message *")) {
                for (const a of e.attributes) if (/^on/i.test(a.name) || /javascript:|vbscript:|data:text/i.test(a.name === "title" ? "" : a.value)) out.push(e.outerHTML);
                if (/^(script|iframe|img|object|embed|form|base|meta|link|style)$/i.test(e.tagName) && !e.closest("svg.icon")) out.push(e.tagName);
            }
            return out;
        }""")
        self.assertEqual(bad, [])
        self.assertEqual(page.url.split("#")[0], self.server.url)

    def test_hostile_output(self):
        self.send("hostile")
        self.page.locator(".thinking summary").click()
        answer = self.answers().last
        expect(answer).to_contain_text("<script>window.hacked = 1</script>")
        expect(answer).to_contain_text("<form action=")
        self.check(self.page)
        links = self.page.locator(".message a")
        self.assertEqual([a.get_attribute("href") for a in links.all()], ["https://example.org/a?b=c"] if links.count() == 1 else
                         ["http://evil.invalid/leak.png?q=secret", "https://example.org/a?b=c"])
        for a in links.all():
            self.assertEqual((a.get_attribute("target"), a.get_attribute("rel")), ("_blank", "noopener noreferrer nofollow"))
        for e in self.page.locator(".message .nolink").all():
            e.click()
        self.check(self.page)
        self.page.reload()
        expect(self.answers().last).to_contain_text("<script>")
        self.check(self.page)

    def test_hostile_words_of_the_user(self):
        text = "<img src=x onerror=window.hacked=40> **not bold**"
        self.send(text)
        expect(self.page.locator(".bubble")).to_have_text(text)
        self.page.get_by_role("searchbox").fill("onerror")
        expect(self.page.locator(".hit mark")).to_have_text("onerror")
        self.check(self.page)

    def test_deep_nesting(self):
        self.send("nested")
        expect(self.answers().last).to_contain_text("deep")
        self.send("still alive")
        expect(self.answers().last).to_have_text("You said: still alive")

    def test_the_policy_holds(self):
        """Even a hole in the page's own code would run nothing: no inline script, no eval, no HTML that is not cleaned."""
        self.allowed = ("Content Security Policy", "TrustedHTML", "Refused", "violates", "This document requires")
        # After a pause: what the debugger itself evaluates is free of the policy.
        tried = self.page.evaluate("""async () => {
            await new Promise((done) => setTimeout(done, 50));
            const out = [];
            try { document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.hacked=50'>"); out.push("html"); } catch {}
            try { eval("window.hacked = 51"); out.push("eval"); } catch {}
            try { new Function("window.hacked = 52")(); out.push("function"); } catch {}
            const s = document.createElement("script");
            try { s.textContent = "window.hacked = 53"; document.body.append(s); } catch {}
            return out;
        }""")
        self.assertEqual(tried, [])
        reached = self.page.evaluate("fetch('http://127.0.0.1:1/').then(() => 'reached', () => 'refused')")
        self.assertEqual(reached, "refused")
        self.assertIsNone(self.page.evaluate("window.hacked ?? null"))

    def test_maths_code_and_tables_are_drawn(self):
        self.send("maths")
        expect(self.page.locator(".katex")).to_have_count(4)
        expect(self.page.locator(".katex-display")).to_have_count(2)
        self.assertGreater(self.page.evaluate("document.querySelector('.katex-display .katex-html').getBoundingClientRect().height"), 20)
        self.assertTrue(self.page.evaluate("document.fonts.check('16px KaTeX_Main') && [...document.fonts].some(f => f.family.includes('KaTeX_Math') && f.status === 'loaded')"))
        self.send("code")
        expect(self.page.locator(".hljs-keyword").first).to_be_visible()
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page.get_by_role("button", name="Copy code").click()
        expect(self.page.get_by_role("button", name="Copied")).to_be_visible()
        self.assertEqual(self.page.evaluate("navigator.clipboard.readText()").split("\n")[0], "import torch")
        self.send("table")
        expect(self.page.locator(".markdown td")).to_have_count(12)


if __name__ == "__main__":
    browser.main()
