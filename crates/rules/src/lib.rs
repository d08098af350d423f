//! Topic rules: match, SQL, actions.
