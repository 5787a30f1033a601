//! What a name means in a build file: the scripts of package.json, the targets of a Makefile, the recipes of a
//! justfile, one level deep.
//!
//! Does not know who asks, and reads no file. Where a build file makes names by rules of its own (patterns, includes,
//! generated targets), it says that it does not know.

use super::Line;

/// What a build file does for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The commands, in order; each line stops the others if it fails.
    pub lines: Vec<Line>,
    /// The text of the body, as written.
    pub text: String,
    /// Names of parameters (justfile).
    pub parameters: Vec<String>,
    /// The recipe takes as many words as it gets (`*args`, `+args`).
    pub variadic: bool,
    /// Other targets that run before or after it.
    pub others: bool,
}

/// What a build file says about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Makes {
    Recipe(Recipe),
    /// The name is not there; these are.
    Nothing(Vec<String>),
    /// It may be there in a way that cannot be read off.
    Unknown,
}

/// A script of package.json.
pub fn package_script(text: &str, script: &str) -> Makes {
    let Ok(json) = serde_json::from_str::<serde_json::Value>(text) else { return Makes::Unknown };
    let scripts = json.get("scripts").and_then(serde_json::Value::as_object);
    let names = || scripts.into_iter().flat_map(|scripts| scripts.keys().cloned()).collect::<Vec<_>>();
    match scripts.and_then(|scripts| scripts.get(script)).map(serde_json::Value::as_str) {
        Some(Some(body)) => {
            let line = Line::of_shell(body);
            Makes::Recipe(Recipe {
                lines: vec![line],
                text: body.to_owned(),
                parameters: Vec::new(),
                variadic: true,
                others: [format!("pre{script}"), format!("post{script}")]
                    .iter()
                    .any(|name| names().contains(name)),
            })
        }
        Some(None) => Makes::Unknown,
        None => {
            let mut names = names();
            names.sort();
            Makes::Nothing(names)
        }
    }
}

/// A target of a Makefile; without a name, its first one.
pub fn makefile(text: &str, target: Option<&str>) -> Makes {
    let mut names: Vec<String> = Vec::new();
    let mut unreadable = false;
    let mut wanted: Option<(Vec<String>, bool)> = None;
    let mut target = target.map(str::to_owned);
    // Whether recipe lines that follow belong to the target that is asked for.
    let mut inside = false;
    let mut defined = false;
    for line in logical_lines(text) {
        if let Some(command) = line.strip_prefix('\t') {
            if inside && let Some((commands, _)) = &mut wanted {
                commands.push(command.trim_start_matches(['@', '-', '+']).to_owned());
            }
            continue;
        }
        let line = line.split('#').next().unwrap_or("").trim_end();
        let first = line.split_whitespace().next().unwrap_or("");
        if matches!(first, "define") {
            defined = true;
        } else if first == "endef" {
            defined = false;
        }
        if defined || line.trim().is_empty() {
            continue;
        }
        inside = false;
        if matches!(first, "include" | "-include" | "sinclude")
            || line.contains("$(eval")
            || line.contains("$(foreach")
        {
            unreadable = true;
            continue;
        }
        let Some((left, right)) = rule(line) else { continue };
        if left.contains(['%', '$']) {
            unreadable |= !left.starts_with('.');
            continue;
        }
        for name in left.split_whitespace() {
            // `.PHONY` and its like are no targets; what they list are.
            if name.starts_with('.') && !name.contains('/') {
                continue;
            }
            if target.is_none() {
                target = Some(name.to_owned());
            }
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
            if target.as_deref() == Some(name) {
                let (before, command) = right.split_once(';').unwrap_or((right, ""));
                let (commands, others) = wanted.get_or_insert_default();
                *others |= !before.trim().is_empty();
                commands
                    .extend(Some(command.trim()).filter(|command| !command.is_empty()).map(str::to_owned));
                inside = true;
            }
        }
    }
    match wanted {
        Some((commands, others)) => Makes::Recipe(Recipe {
            // `$$` is the shell's `$`; a single one is make's, whose values are not known.
            lines: commands.iter().map(|line| Line::of_shell(&line.replace("$$", "$"))).collect(),
            text: commands.join("\n"),
            parameters: Vec::new(),
            variadic: false,
            others,
        }),
        None if unreadable || target.is_none() => Makes::Unknown,
        None => Makes::Nothing(names),
    }
}

/// Lines, where a `\` at the end takes the next one in.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let (line, goes_on) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| open) {
            Some(last) => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            None => lines.push(line.to_owned()),
        }
        open = goes_on;
    }
    lines
}

/// Targets and what they need, if the line is a rule and no assignment.
fn rule(line: &str) -> Option<(&str, &str)> {
    let (left, right) = line.split_once(':')?;
    let right = right.strip_prefix(':').unwrap_or(right);
    // `A := b`, `A ::= b`, and `A = b:c`.
    let assignment = right.starts_with('=') || left.contains('=') || left.starts_with("export ");
    (!assignment && !left.trim().is_empty() && !left.starts_with([' ', '('])).then_some((left, right))
}

/// A recipe of a justfile; without a name, its first one.
pub fn justfile(text: &str, recipe: Option<&str>) -> Makes {
    let mut names: Vec<String> = Vec::new();
    let mut aliases: Vec<(String, String)> = Vec::new();
    let mut recipes: Vec<(String, Recipe)> = Vec::new();
    let mut unreadable = false;
    let mut inside = false;
    for line in logical_lines(text) {
        if line.starts_with([' ', '\t']) {
            if inside && let Some((_, recipe)) = recipes.last_mut() {
                recipe.text.push_str(line.trim());
                recipe.text.push('\n');
            }
            continue;
        }
        let line = line.trim_end();
        if line.is_empty() || line.starts_with(['#', '[']) {
            continue;
        }
        inside = false;
        let mut words = line.split_whitespace();
        match words.next() {
            Some("import" | "import?" | "mod" | "mod?") => unreadable = true,
            Some("alias") => {
                if let Some((name, of)) = line.trim_start_matches("alias").split_once(":=") {
                    aliases.push((name.trim().to_owned(), of.trim().to_owned()));
                }
            }
            Some("set" | "export" | "unexport") => {}
            _ => {
                let Some((head, behind)) = heading(line) else { continue };
                let mut parts = split_parameters(head).into_iter();
                let Some(name) = parts.next() else { continue };
                let name = name.trim_start_matches('@').to_owned();
                let mut variadic = false;
                let parameters: Vec<String> = parts
                    .map(|part| {
                        variadic |= part.starts_with(['*', '+']);
                        let name = part.trim_start_matches(['*', '+', '$']);
                        name.split('=').next().unwrap_or(name).to_owned()
                    })
                    .collect();
                names.push(name.clone());
                let others = !behind.trim().is_empty();
                let recipe = Recipe { lines: Vec::new(), text: String::new(), parameters, variadic, others };
                recipes.push((name, recipe));
                inside = true;
            }
        }
    }
    let wanted = match recipe {
        None => names.first().cloned(),
        Some(asked) => aliases
            .iter()
            .find(|(name, _)| name == asked)
            .map(|(_, of)| of.clone())
            .or(Some(asked.to_owned())),
    };
    let Some(wanted) = wanted else { return Makes::Unknown };
    match recipes.into_iter().find(|(name, _)| *name == wanted) {
        Some((_, mut recipe)) => {
            // A body that names its interpreter is a script and no list of lines.
            if recipe.text.starts_with("#!") {
                recipe.lines = vec![Line { calls: Vec::new(), opaque: true }];
            } else {
                let lines = recipe.text.lines().filter(|line| !line.starts_with('#'));
                recipe.lines =
                    lines.map(|line| Line::of_shell(line.trim_start_matches(['@', '-']))).collect();
            }
            Makes::Recipe(recipe)
        }
        None if unreadable || wanted.contains("::") => Makes::Unknown,
        None => {
            names.extend(aliases.into_iter().map(|(name, _)| name));
            Makes::Nothing(names)
        }
    }
}

/// What stands before and behind the `:` of a recipe's first line.
fn heading(line: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ':') => {
                let behind = &line[at + 1..];
                return (!behind.starts_with('=')).then_some((&line[..at], behind));
            }
            _ => {}
        }
    }
    None
}

/// Words at white space that is not in quotes.
fn split_parameters(head: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in head.chars() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => words.push(String::new()),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (_, c) => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
