//! Writes random Rust: items, expressions and arguments of attributes, most of them valid, as text.

use support::random::Random;

/// How deep expressions, types and patterns nest.
const MOST_NESTED: usize = 4;

const NAMES: [&str; 8] = ["x", "y", "args", "self_", "eager", "value", "r#type", "scope"];

const MISSPELT: [&str; 28] = [
    "backend", "crate", "detach", "eager", "skip", "detatch", "backends", "=", ":", ",", "::", "->", "'a",
    "\"Mlx\"", "Mlx", "(", ")", "{", "}", "await", "return", "?", "|", "async", "move", "fn", "#", "!",
];

/// Writes random source text.
pub struct Writer<'a> {
    random: &'a Random,
    nested: usize,
}

impl<'a> Writer<'a> {
    pub const fn new(random: &'a Random) -> Self {
        Self { random, nested: 0 }
    }

    fn maybe(&self, percent: usize, text: &str) -> String {
        if self.random.chance(percent) { text.to_owned() } else { String::new() }
    }

    fn name(&self) -> &'static str {
        self.random.of(&NAMES)
    }

    /// Writes one of the simple texts where texts are nested too deep, else calls `nested`.
    fn nest(&mut self, simple: &[&str], nested: impl FnOnce(&mut Self) -> String) -> String {
        if self.nested >= MOST_NESTED || self.random.chance(30) {
            return self.random.of(simple).to_owned();
        }
        self.nested += 1;
        let text = nested(self);
        self.nested -= 1;
        text
    }

    fn list(&mut self, most: usize, separator: &str, mut part: impl FnMut(&mut Self) -> String) -> String {
        let parts: Vec<_> = (0..self.random.below(most + 1)).map(|_| part(self)).collect();
        parts.join(separator)
    }

    /// Writes the arguments of a scope attribute.
    pub fn arguments(&mut self) -> String {
        self.list(3, ", ", |writer| match writer.random.below(16) {
            0 => "backend = Mlx".into(),
            1 => format!("backend = {}", writer.ty()),
            2 => "crate = renamed::grad".into(),
            3 | 4 => "detach".into(),
            5 => "detach(args)".into(),
            6 => format!("detach({})", writer.list(2, ", ", |writer| writer.name().into())),
            7 => "detach = path::to".into(),
            8 | 9 => "eager".into(),
            10 => "skip".into(),
            11 | 12 => writer.expression(),
            _ => writer.tokens(3),
        })
    }

    /// Writes the arguments of `params_object`.
    pub fn object_arguments(&mut self) -> String {
        if self.random.chance(70) { self.maybe(50, "crate = a::b") } else { self.arguments() }
    }

    /// Writes random tokens, which need not be valid.
    pub fn tokens(&mut self, most: usize) -> String {
        self.list(most, " ", |writer| {
            if writer.random.chance(70) { writer.random.of(&MISSPELT).into() } else { writer.name().into() }
        })
    }

    fn attributes(&mut self) -> String {
        const ATTRIBUTES: [&str; 11] = [
            "#[inline]",
            "/// Text.",
            "#[cfg(test)]",
            "#[no_grad]",
            "#[no_grad(backend = Mlx)]",
            "#[grad_runtime::attr::enable_grad]",
            "#[inference_mode(skip)]",
            "#[cfg_attr(test, no_grad)]",
            "#[set_grad_enabled(x)]",
            "#[no_grad = 1]",
            "#[must_use = \"x\"]",
        ];
        let attributes = self.list(2, "\n", |writer| writer.random.of(&ATTRIBUTES).into());
        if attributes.is_empty() { attributes } else { attributes + "\n" }
    }

    fn visibility(&self) -> &'static str {
        self.random.of(&["", "", "pub ", "pub(crate) ", "pub(in a::b) "])
    }

    fn generics(&mut self) -> String {
        self.random
            .of(&[
                "",
                "",
                "",
                "<T>",
                "<'a>",
                "<'a, T: Array + 'a, const N: usize>",
                "<A: Array = B>",
                "<T: ?Sized>",
                "<>",
            ])
            .into()
    }

    fn clause(&self) -> &'static str {
        self.random.of(&["", "", "", " where T: Clone", " where", " where for<'b> T: Fn(&'b u8) -> &'b u8"])
    }

    /// Writes an item that may be under a scope attribute.
    pub fn item(&mut self) -> String {
        match self.random.below(16) {
            0..9 => self.function(false),
            9..12 => {
                let members = self.members();
                let of = self.maybe(40, "Trait for ");
                let generics = self.generics();
                format!(
                    "{}{}impl{generics} {of}Type {}{{{members}}}",
                    self.attributes(),
                    self.maybe(10, "unsafe "),
                    self.clause()
                )
            }
            12 | 13 => self.trait_item(),
            14 => self.derived(),
            _ => {
                let expression = self.expression();
                match self.random.below(7) {
                    0 => format!("mod m {{ {} }}", self.function(false)),
                    1 => "use a::b;".into(),
                    2 => format!("const X: u8 = {expression};"),
                    3 => format!("let x = {expression};"),
                    4 => format!("type X = {};", self.ty()),
                    5 => "extern \"C\" { safe fn f(); }".into(),
                    _ => expression,
                }
            }
        }
    }

    /// Writes a trait.
    pub fn trait_item(&mut self) -> String {
        let supertraits = self.random.of(&["", ": Send", ": Params<A>", ": Base + 'static"]);
        let members = self.members();
        let (attributes, visibility) = (self.attributes(), self.visibility());
        let name = self.random.of(&["Layer", "r#Layer", "Layer"]);
        let generics = self.generics();
        format!(
            "{attributes}{visibility}{}trait {name}{generics}{supertraits}{}{{{members}}}",
            self.maybe(10, "unsafe "),
            self.clause()
        )
    }

    fn members(&mut self) -> String {
        self.list(3, "\n", |writer| match writer.random.below(9) {
            0..6 => writer.function(true),
            6 => format!("const X: u8 = {};", writer.expression()),
            7 => format!("type Out = {};", writer.ty()),
            _ => writer.random.of(&["name!{}", "name!();", "fn f(&self);", "fn half(&self", "pub", "}; fn"]).into(),
        })
    }

    fn function(&mut self, is_member: bool) -> String {
        let attributes = self.attributes();
        let visibility = self.visibility();
        let default = if is_member { self.maybe(8, "default ") } else { String::new() };
        let qualifiers = self.random.of(&[
            "",
            "",
            "",
            "",
            "async ",
            "unsafe ",
            "const ",
            "async unsafe ",
            "extern \"C\" ",
            "extern ",
        ]);
        let name = self.random.of(&["f", "r#async", "forward"]);
        let generics = self.generics();
        let receiver = if is_member {
            self.random.of(&[
                "",
                "self, ",
                "&self, ",
                "&mut self, ",
                "mut self, ",
                "self: Pin<&mut Self>, ",
                "&'a self, ",
            ])
        } else {
            ""
        };
        let inputs = self.list(3, ", ", |writer| {
            format!("{}{}: {}", writer.maybe(5, "#[cfg(test)] "), writer.pattern(), writer.ty())
        });
        let output = if self.random.chance(70) { format!(" -> {}", self.ty()) } else { String::new() };
        let body = if self.random.chance(4) { ";".into() } else { format!("{{ {} }}", self.body()) };
        format!(
            "{attributes}{visibility}{default}{qualifiers}fn {name}{generics}({receiver}{inputs}){output}{} {body}",
            self.clause()
        )
    }

    /// Writes the statements of a block.
    pub fn body(&mut self) -> String {
        let inner = self.maybe(6, "#![allow(unused)] ");
        let statements = self.list(3, " ", |writer| match writer.random.below(10) {
            0..3 => format!("let {} = {};", writer.pattern(), writer.expression()),
            3..6 => format!("{};", writer.expression()),
            6 => "#[inline] fn inner() { return }".into(),
            7 => format!("return {};", writer.expression()),
            8 => "vec![x?, 1];".into(),
            _ => writer.tokens(4),
        });
        let last = if self.random.chance(80) { self.expression() } else { String::new() };
        format!("{inner}{statements} {last}")
    }

    /// Writes an expression.
    pub fn expression(&mut self) -> String {
        let simple = [
            "x",
            "1",
            "()",
            "x.await",
            "x?",
            "self.training",
            "return",
            "break 'a 1",
            "!x",
            "a::b",
            "\"text\"",
            "loop {}",
        ];
        self.nest(&simple, |writer| match writer.random.below(17) {
            0 => format!("{}({})", writer.expression(), writer.list(2, ", ", Self::expression)),
            1 => format!("{}{} {{ {} }}", "async ", writer.maybe(50, "move"), writer.body()),
            2 => {
                let inputs = writer.list(2, ", ", Self::pattern);
                let kind = writer.random.of(&["", "move ", "async ", "async move ", "for<'a> "]);
                format!("{kind}|{inputs}| {}", writer.expression())
            }
            3 => format!("|x| -> {} {{ {} }}", writer.ty(), writer.body()),
            4 => format!("{{ {} }}", writer.body()),
            5 => format!("if {} {{ {} }} else {{ {} }}", writer.expression(), writer.body(), writer.body()),
            6 => format!("match {} {{ {} => {} }}", writer.expression(), writer.pattern(), writer.expression()),
            7 => format!("no_grad! {{ {} }}", writer.body()),
            8 => format!("set_grad_enabled!({}, {{ {} }})", writer.expression(), writer.body()),
            9 => format!(
                "{}!({})",
                writer.random.of(&["println", "select", "join", "tokio::join", "vec", "own"]),
                writer.expression()
            ),
            10 => format!("Box::pin({})", writer.expression()),
            11 => format!("({}, {})", writer.expression(), writer.expression()),
            12 => format!("{}.method::<{}>({})", writer.expression(), writer.ty(), writer.expression()),
            13 => format!("'a: for {} in {} {{ {} }}", writer.pattern(), writer.expression(), writer.body()),
            14 => format!("<{}>::new()", writer.ty()),
            15 => format!("{} < {}", writer.expression(), writer.expression()),
            _ => format!("({})", writer.expression()),
        })
    }

    fn ty(&mut self) -> String {
        let simple = [
            "A",
            "u8",
            "!",
            "Self",
            "&'a A",
            "&mut T",
            "T",
            "()",
            "impl Sized",
            "fn(u8) -> A",
            "dyn Any",
            "_",
            "'static",
        ];
        self.nest(&simple, |writer| match writer.random.below(20) {
            0 => format!("impl Future<Output = {}>{}", writer.ty(), writer.bound()),
            1 => format!("impl Iterator<Item = {}>{}", writer.ty(), writer.bound()),
            2 => format!("impl IntoIterator<Item = {}>{}", writer.ty(), writer.bound()),
            3 => format!("impl Stream<Item = {}>{}", writer.ty(), writer.bound()),
            4 => format!("Box<{}>", writer.ty()),
            5 => format!("Pin<Box<dyn Future<Output = {}> + Send + '_>>", writer.ty()),
            6 | 7 => {
                let kind = writer.random.of(&["Fn", "FnMut", "FnOnce", "AsyncFn", "AsyncFnMut", "AsyncFnOnce"]);
                let binder = writer.random.of(&["", "", "for<'b> ", "for<> "]);
                let outer = writer.random.of(&["impl", "impl", "dyn"]);
                format!(
                    "{outer} {binder}{kind}({}) -> {}{}",
                    writer.list(2, ", ", Self::ty),
                    writer.ty(),
                    writer.bound()
                )
            }
            8 => format!("Option<{}>", writer.ty()),
            9 => format!("Result<{}, {}>", writer.ty(), writer.ty()),
            10 => format!("({}, {})", writer.ty(), writer.ty()),
            11 => format!(
                "{}<{}>",
                writer.random.of(&["Rc", "Arc", "BoxFuture", "LocalBoxStream", "std::pin::Pin"]),
                writer.ty()
            ),
            12 => format!("BoxFuture<'static, {}>", writer.ty()),
            13 => format!("[{}; {}]", writer.ty(), writer.random.of(&["2", "N", "{ N + 1 }"])),
            14 => format!("&'b [{}]", writer.ty()),
            15 => format!("({})", writer.ty()),
            16 => format!("<{} as Trait<'_>>::Out", writer.ty()),
            17 => format!("*const {}", writer.ty()),
            18 => format!("Box<dyn Iterator<Item = {}>{}>", writer.ty(), writer.bound()),
            _ => format!("Self::Out<'b, {}>", writer.ty()),
        })
    }

    fn bound(&self) -> &'static str {
        self.random.of(&["", "", " + Send", " + 'a", " + Copy", " + use<'a, T>", " + ?Sized", " + Fn()"])
    }

    fn pattern(&mut self) -> String {
        let simple = ["x", "mut x", "_", "ref y", "ref mut y", "..", "args", "1", "None"];
        self.nest(&simple, |writer| match writer.random.below(9) {
            0 => format!("({}, {})", writer.pattern(), writer.pattern()),
            1 => format!("&{}", writer.pattern()),
            2 => format!("&mut {}", writer.pattern()),
            3 => format!("Point {{ x, y: {}, .. }}", writer.pattern()),
            4 => format!("[{}, ..]", writer.pattern()),
            5 => format!("Some({})", writer.pattern()),
            6 => format!("{} @ {}", writer.name(), writer.pattern()),
            7 => format!("({} | {})", writer.pattern(), writer.pattern()),
            _ => format!("({})", writer.pattern()),
        })
    }

    /// Writes a type with fields, to be derived for.
    pub fn derived(&mut self) -> String {
        const ATTRIBUTES: [&str; 11] = [
            "",
            "",
            "#[detach(skip)] ",
            "#[params(frozen)] ",
            "#[params(buffer)] ",
            "#[params(frozen, buffer)] ",
            "#[detach(crate = a)] ",
            "#[params] ",
            "#[detach = 1] ",
            "#[params(crate = a::b)] ",
            "#[detach(skip = 2, other)] ",
        ];
        let attribute = |writer: &Self| writer.random.of(&ATTRIBUTES);
        let named = |writer: &mut Self| {
            writer.list(3, ", ", |writer| {
                let (attribute, visibility) = (attribute(writer), writer.visibility());
                format!("{attribute}{visibility}{}: {}", writer.name(), writer.ty())
            })
        };
        let unnamed =
            |writer: &mut Self| writer.list(3, ", ", |writer| format!("{}{}", attribute(writer), writer.ty()));
        let (outer, visibility) = (attribute(self), self.visibility());
        let name = self.random.of(&["Model", "r#Model"]);
        let head = format!("{name}{}", self.generics());
        let clause = self.clause();
        match self.random.below(8) {
            0..3 => format!("{outer}{visibility}struct {head}{clause} {{ {} }}", named(self)),
            3 => format!("{outer}{visibility}struct {head}({}){clause};", unnamed(self)),
            4 => format!("{outer}{visibility}struct {head}{clause};"),
            5 => format!("{outer}union {head}{clause} {{ {} }}", named(self)),
            _ => {
                let variants = self.list(3, ", ", |writer| {
                    let (attribute, variant) = (attribute(writer), writer.random.of(&["A", "B", "C"]));
                    match writer.random.below(3) {
                        0 => format!("{attribute}{variant}"),
                        1 => format!("{attribute}{variant} {{ {} }}", named(writer)),
                        _ => format!("{attribute}{variant}({})", unnamed(writer)),
                    }
                });
                format!("{outer}{visibility}enum {head}{clause} {{ {variants} }}")
            }
        }
    }

    /// Writes what precedes the block of a block macro.
    pub fn block_head(&mut self) -> String {
        let selector = match self.random.below(8) {
            0 => "<Mlx> ".into(),
            1 => format!("<{}> ", self.list(2, ", ", Self::ty)),
            2 => format!("< {} > ", self.tokens(3)),
            _ => String::new(),
        };
        let condition = if self.random.chance(40) { format!("{}, ", self.expression()) } else { String::new() };
        format!("{selector}{condition}{}", self.maybe(15, "detach "))
    }
}
