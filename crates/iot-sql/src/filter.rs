pub(crate) fn check(filter: &str) -> Result<(), &'static str> {
    let levels: Vec<_> = filter.split('/').collect();
    for (i, l) in levels.iter().enumerate() {
        if l.contains('#') && (*l != "#" || i + 1 != levels.len()) {
            return Err("`#` must be the last level");
        }
        if l.contains('+') && *l != "+" {
            return Err("`+` must stand alone");
        }
    }
    if filter.is_empty() { Err("it is empty") } else { Ok(()) }
}
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let mut t = topic.split('/');
    let mut first = true;
    for f in filter.split('/') {
        let Some(l) = t.next() else { return false };
        if first && l.starts_with('$') && (f == "#" || f == "+") {
            return false;
        }
        first = false;
        if f == "#" {
            return true;
        }
        if f != "+" && f != l {
            return false;
        }
    }
    t.next().is_none()
}
