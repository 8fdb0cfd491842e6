//! The names nearest to a word that is none.

/// Names that are this far away are no help.
const FAR: usize = 3;

/// The nearest of `names`, at most five, nearest first. Case, `-` and spaces do not matter.
#[must_use]
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = folded(word);
    // Half of a short word may not be wrong.
    let far = FAR.min(word.len() / 2);
    let near = |name: &'a str| {
        let folded = folded(name);
        let holds = word.len() > 3 && folded.windows(word.len()).any(|part| part == word);
        let whole = distance(&word, &folded, far);
        // The beginning of a long name, itself misspelled.
        let start = folded.get(..word.len() + 1).filter(|_| word.len() > 4);
        let start =
            start.and_then(|start| distance(&word, start, far)).map(|distance| distance + 1);
        let distance = if holds { Some(far) } else { None }.or(whole).or(start)?;
        Some((distance, name))
    };
    let mut found: Vec<_> = names.into_iter().filter_map(near).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, name)| name).take(5).collect()
}

fn folded(text: &str) -> Vec<u8> {
    let fold =
        |byte: u8| if matches!(byte, b' ' | b'-') { b'_' } else { byte.to_ascii_lowercase() };
    text.bytes().take(128).map(fold).collect()
}

/// How many bytes must be put in, taken out or changed; `None` when more than `most`.
fn distance(one: &[u8], other: &[u8], most: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, byte) in one.iter().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (above, against) in row.iter_mut().skip(1).zip(other) {
            let changed = diagonal + usize::from(byte != against);
            diagonal = *above;
            left = changed.min(left + 1).min(*above + 1);
            *above = left;
        }
    }
    row.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_what_must_change() {
        let distance = |one: &str, other: &str| distance(one.as_bytes(), other.as_bytes(), 5);
        assert_eq!(distance("", ""), Some(0));
        assert_eq!(distance("kitten", "sitting"), Some(3));
        assert_eq!(distance("abc", ""), Some(3));
        assert_eq!(distance("", "abcdef"), None);
        assert_eq!(distance("ab", "ba"), Some(2));
    }

    #[test]
    fn the_nearest_name_comes_first() {
        let names = ["connection_refused", "connection_reset", "route_not_found", "UF", "UT"];
        assert_eq!(nearest("conection_refused", names), ["connection_refused"]);
        assert_eq!(nearest("Route Not Fund", names), ["route_not_found"]);
        assert_eq!(nearest("UX", names), ["UF", "UT"]);
        assert_eq!(nearest("conection", names), ["connection_refused", "connection_reset"]);
        assert_eq!(nearest("refused", names), ["connection_refused"]);
        assert_eq!(nearest("something else", names), [""; 0]);
    }
}
