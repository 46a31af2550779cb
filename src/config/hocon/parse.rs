//! pyhocon's grammar, by recursive descent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cursor::Cursor;
use super::lexeme::{at_keyword, is_key_character, is_unquoted, number, number_length, quoted_length, unescape};
use super::resolve::join;
use super::tree::{Fields, Item, Node, Open, Operator, Piece, Reference, assign};
use super::{DEPTH_LIMIT, HoconError, Position, read_limited};

const INCLUDES_LIMIT: usize = 32;

type Outcome<T> = Result<T, Box<HoconError>>;

/// What includes have done so far.
#[derive(Default)]
pub(super) struct Includes {
    read: usize,
    pub(super) files: Vec<PathBuf>,
    pub(super) left_out: Vec<HoconError>,
}

struct Parser<'a, 'i> {
    cursor: Cursor<'a>,
    base: Option<PathBuf>,
    depth: usize,
    includes: &'i mut Includes,
}

/// Reads a whole text.
pub(super) fn document(
    text: &str,
    file: &Arc<Path>,
    base: Option<PathBuf>,
    depth: usize,
    includes: &mut Includes,
) -> Outcome<Fields> {
    let mut parser = Parser { cursor: Cursor::new(text, Arc::clone(file)), base, depth, includes };
    parser.cursor.skip_between(false);
    if parser.cursor.peek() == Some('[') {
        return Err(parser.cursor.error("the file is a list; a configuration is an object: `api { … }`"));
    }
    let fields = if parser.cursor.peek() == Some('{') { parser.object()? } else { parser.fields()? };
    parser.cursor.skip_between(true);
    match parser.cursor.peek() {
        None => Ok(fields),
        Some(_) => {
            let here = parser.cursor.here();
            Err(parser
                .cursor
                .error(format!("did not expect {here} here; quote the value, or look for a bracket too many")))
        }
    }
}

impl Parser<'_, '_> {
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        if self.depth >= DEPTH_LIMIT {
            return Err(self.cursor.error(format!("more than {DEPTH_LIMIT} objects and lists are inside each other")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn object(&mut self) -> Outcome<Fields> {
        let opened = self.cursor.position();
        self.cursor.advance(1);
        let fields = self.deeper(Self::fields)?;
        if self.cursor.eat("}") {
            return Ok(fields);
        }
        let here = self.cursor.here();
        Err(self.cursor.error(format!(
            "expected a key or the `}}` of the object of line {}, found {here}; quote the value before it, or close the object",
            opened.line
        )))
    }

    fn fields(&mut self) -> Outcome<Fields> {
        let mut fields = Fields::new();
        loop {
            self.cursor.skip_between(true);
            if self.at_include() {
                for (key, item) in self.include()? {
                    assign(&mut fields, &format!("\"{key}\""), Operator::Set, item)?;
                }
                continue;
            }
            let at = self.cursor.position();
            let Some(key) = self.key()? else { return Ok(fields) };
            let (operator, node) = self.operator_and_value(&key)?;
            assign(&mut fields, &key, operator, Item { node, at })?;
        }
    }

    fn key(&mut self) -> Outcome<Option<String>> {
        if self.cursor.peek() != Some('"') {
            let word = self.cursor.take_while(is_key_character).trim();
            return Ok((!word.is_empty()).then(|| word.to_owned()));
        }
        let end = quoted_length(self.cursor.rest(), true)
            .ok_or_else(|| self.cursor.error("the quote of this key is not closed"))?;
        let key = self.cursor.rest()[..end].to_owned();
        if key.contains('\\') {
            return Err(self.cursor.error("a key with a backslash in it cannot be read; rename it"));
        }
        self.cursor.advance(end);
        Ok(Some(key))
    }

    fn operator_and_value(&mut self, key: &str) -> Outcome<(Operator, Node)> {
        self.cursor.skip_between(false);
        if self.cursor.peek() == Some('{') {
            return Ok((Operator::Set, Node::Object(self.object()?)));
        }
        let operator = if self.cursor.eat("=") || self.cursor.eat(":") {
            Operator::Set
        } else if self.cursor.eat("+=") {
            Operator::Append
        } else {
            let here = self.cursor.here();
            return Err(self
                .cursor
                .error(format!("expected `:`, `=`, `+=` or `{{` after the key `{key}`, found {here}")));
        };
        self.cursor.skip_between(false);
        Ok((operator, self.value()?.unwrap_or(Node::Text(String::new()))))
    }

    /// A concatenation; none where there is nothing before the line, list or object ends.
    fn value(&mut self) -> Outcome<Option<Node>> {
        let at = self.cursor.position();
        let mut pieces = Vec::new();
        while let Some(piece) = self.piece()? {
            pieces.push(piece);
        }
        if pieces.is_empty() {
            return Ok(None);
        }
        if pieces.iter().any(|piece| matches!(piece, Piece::Reference(_))) {
            return Ok(Some(Node::Open(Open { pieces, before: None, generation: 0 })));
        }
        join(pieces, &at).map(Some)
    }

    fn piece(&mut self) -> Outcome<Option<Piece>> {
        self.cursor.blanks();
        let at = self.cursor.position();
        if self.cursor.at_comment() {
            return Ok(None);
        }
        let Some(next) = self.cursor.peek() else { return Ok(None) };
        match next {
            '\n' | '\r' | ',' | ']' | '}' => return Ok(None),
            '\\' if self.continues()? => return self.piece(),
            '$' => return self.reference(at).map(Some),
            '"' => return self.quoted(at).map(Some),
            '{' => return Ok(Some(Piece::Whole(Item { node: Node::Object(self.object()?), at }))),
            '[' => return Ok(Some(Piece::Whole(Item { node: self.list()?, at }))),
            _ => {}
        }
        if self.at_include() {
            return Err(self.cursor.error("`include` inside a value is not supported; include at the start of a line"));
        }
        if let Some(node) = self.word() {
            return Ok(Some(Piece::Whole(Item { node, at })));
        }
        self.unquoted().map(Some)
    }

    /// A number or a word with a meaning.
    fn word(&mut self) -> Option<Node> {
        let rest = self.cursor.rest();
        if let Some(length) = number_length(rest) {
            self.cursor.advance(length);
            return Some(number(&rest[..length]));
        }
        let (word, node) = [("true", Node::Bool(true)), ("false", Node::Bool(false)), ("null", Node::Null)]
            .into_iter()
            .find(|(word, _)| at_keyword(rest, word))?;
        self.cursor.advance(word.len());
        Some(node)
    }

    /// A backslash before the end of a line: the value goes on in the next one.
    fn continues(&mut self) -> Outcome<bool> {
        let rest = self.cursor.rest();
        if rest.len() == 1 {
            return Err(self.cursor.error("a backslash ends the file; remove it"));
        }
        let goes_on = rest.starts_with("\\\n");
        if goes_on {
            self.cursor.advance(1);
            self.cursor.take_while(|c| c == '\n' || c == '\r');
        }
        Ok(goes_on)
    }

    fn unquoted(&mut self) -> Outcome<Piece> {
        let start = self.cursor.rest();
        let mut length = 0;
        let mut characters = start.chars();
        while let Some(c) = characters.next() {
            if is_unquoted(c) {
                length += c.len_utf8();
            } else if let Some(escaped) = (c == '\\').then(|| characters.next()).flatten().filter(|next| *next != '\n')
            {
                length += 1 + escaped.len_utf8();
            } else {
                break;
            }
        }
        if length == 0 {
            let here = self.cursor.here();
            return Err(self
                .cursor
                .error(format!("{here} cannot be in an unquoted value; put the value in double quotes")));
        }
        self.cursor.advance(length);
        let blanks = self.cursor.blanks().len();
        Ok(Piece::Unquoted(unescape(&start[..length + blanks])))
    }

    fn quoted(&mut self, at: Position) -> Outcome<Piece> {
        let rest = self.cursor.rest();
        if let Some(inner) = rest.strip_prefix("\"\"\"")
            && let Some(end) = inner.find("\"\"\"")
        {
            // Quotes right before the closing three belong to the text.
            let more = inner[end + 3..].len() - inner[end + 3..].trim_start_matches('"').len();
            self.cursor.advance(3 + end + more + 3);
            return Ok(Piece::Whole(Item { node: Node::Text(inner[..end + more].to_owned()), at }));
        }
        let end = quoted_length(rest, false)
            .ok_or_else(|| self.cursor.error("a quote is opened here and not closed on this line; close it"))?;
        self.cursor.advance(end);
        let blanks = self.cursor.blanks().to_owned();
        Ok(Piece::Quoted(unescape(&rest[1..end - 1]), blanks))
    }

    fn reference(&mut self, at: Position) -> Outcome<Piece> {
        let rest = self.cursor.rest();
        let end = rest.find('}').filter(|end| rest.starts_with("${") && *end > 2).ok_or_else(|| {
            self.cursor.error("`$` begins a substitution `${key}`; put a value with `$` in it in double quotes")
        })?;
        let inner = &rest[2..end];
        let (optional, path) = match inner.strip_prefix('?') {
            Some(path) if !path.is_empty() => (true, path),
            Some(_) | None => (false, inner),
        };
        self.cursor.advance(end + 1);
        let blanks = self.cursor.blanks().to_owned();
        Ok(Piece::Reference(Reference { path: path.to_owned(), optional, blanks, at, own_key: false }))
    }

    fn list(&mut self) -> Outcome<Node> {
        let opened = self.cursor.position();
        self.cursor.advance(1);
        let items = self.deeper(|parser| {
            let mut items = Vec::new();
            loop {
                parser.cursor.skip_between(true);
                let at = parser.cursor.position();
                match parser.value()? {
                    // pyhocon cannot tell an empty text from a trailing comma.
                    Some(Node::Text(text)) if text.is_empty() => {}
                    Some(node) => items.push(Item { node, at }),
                    None => return Ok(items),
                }
            }
        })?;
        if self.cursor.eat("]") {
            return Ok(Node::List(items));
        }
        let here = self.cursor.here();
        Err(self.cursor.error(format!("expected the `]` of the list of line {}, found {here}", opened.line)))
    }

    fn at_include(&self) -> bool {
        let rest = self.cursor.rest();
        at_keyword(rest, "include") && {
            let after = rest["include".len()..].trim_start_matches([' ', '\t']);
            after.starts_with('"') || ["url", "file", "package", "required"].iter().any(|word| at_keyword(after, word))
        }
    }

    fn include(&mut self) -> Outcome<Fields> {
        let mark = self.cursor.mark();
        self.cursor.advance("include".len());
        self.cursor.blanks();
        let required = self.parenthesis("required")?;
        let as_file = self.parenthesis("file")?;
        if self.cursor.peek() != Some('"') {
            self.cursor.return_to(mark);
            return Err(self.cursor.error("only files can be included: `include \"other.conf\"`"));
        }
        let at = self.cursor.position();
        let Piece::Quoted(name, _) = self.quoted(at.clone())? else {
            return Err(self.cursor.error("`include` takes a name in double quotes"));
        };
        for _ in 0..usize::from(required) + usize::from(as_file) {
            self.cursor.blanks();
            if !self.cursor.eat(")") {
                return Err(self.cursor.error("expected the `)` of this include"));
            }
        }
        self.included(&name, required, at)
    }

    fn parenthesis(&mut self, word: &str) -> Outcome<bool> {
        if !at_keyword(self.cursor.rest(), word) {
            return Ok(false);
        }
        self.cursor.advance(word.len());
        self.cursor.blanks();
        if !self.cursor.eat("(") {
            return Err(self.cursor.error(format!("expected `(` after `{word}`")));
        }
        self.cursor.blanks();
        Ok(true)
    }

    fn included(&mut self, name: &str, required: bool, at: Position) -> Outcome<Fields> {
        let failed = |problem: String| HoconError { at: at.clone(), problem };
        if ["http://", "https://", "file://"].iter().any(|scheme| name.starts_with(scheme)) {
            return Err(Box::new(failed("a URL cannot be included; save it as a file beside this one".to_owned())));
        }
        self.includes.read += 1;
        if self.includes.read > INCLUDES_LIMIT {
            return Err(Box::new(failed(format!("more than {INCLUDES_LIMIT} files are included; look for a circle"))));
        }
        let path = self.base.as_ref().map_or_else(|| PathBuf::from(name), |base| base.join(name));
        if !required && !path.exists() {
            let problem = format!("`{}` is not there and was not included", path.display());
            self.includes.left_out.push(failed(problem));
            return Ok(Fields::new());
        }
        let text = read_limited(&path)
            .map_err(|problem| Box::new(failed(format!("cannot include `{}`: {problem}", path.display()))))?;
        self.includes.files.push(path.clone());
        document(&text, &Arc::from(path.as_path()), path.parent().map(Path::to_owned), self.depth, self.includes)
    }
}
