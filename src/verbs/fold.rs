//! Text broken between words so that it fits on the line of a terminal. Pure.

/// Breaks lines between words so that they fit behind `indent`, which each but the first of them gets. What is there to
/// be copied stays in one piece, however long it is: what stands between backticks, and a line that begins with four
/// spaces.
#[must_use]
pub fn folded(text: &str, indent: usize, width: Option<usize>) -> String {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(NARROWEST));
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with(COPIED) {
            lines.push(line.to_owned());
            continue;
        }
        let mut folded = String::new();
        for piece in pieces(line) {
            let is_full = folded.chars().count() + 1 + piece.chars().count() > room;
            if is_full && !folded.is_empty() {
                lines.push(std::mem::take(&mut folded));
            }
            if !folded.is_empty() {
                folded.push(' ');
            }
            folded += piece;
        }
        lines.push(folded);
    }
    lines.join(&format!("\n{:indent$}", ""))
}

/// The words of a line, a command between backticks as one.
fn pieces(line: &str) -> Vec<&str> {
    // Foreign text may hold a single one, which quotes nothing.
    let is_paired = line.matches('`').count().is_multiple_of(2);
    let mut is_quoted = false;
    let is_end = |character: char| {
        is_quoted ^= is_paired && character == '`';
        character == ' ' && !is_quoted
    };
    line.split(is_end).collect()
}

/// Below this no word fits, and the terminal may as well break it.
const NARROWEST: usize = 15;
const COPIED: &str = "    ";

#[cfg(test)]
mod tests {
    use super::folded;

    #[test]
    fn lines_end_between_words_and_commands_stay_whole() {
        let told = "run `ssh -L 5000:localhost:5000 host` there\n    ssh -L 5000:localhost:5000 host\nand wait";
        assert_eq!(folded(told, 0, None), told);
        assert_eq!(
            folded(told, 2, Some(22)),
            "run\n  `ssh -L 5000:localhost:5000 host`\n  there\n      ssh -L 5000:localhost:5000 host\n  and wait"
        );
        assert_eq!(folded("a lone ` quotes nothing", 0, Some(16)), "a lone ` quotes\nnothing");
    }
}
