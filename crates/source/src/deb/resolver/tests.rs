use super::*;
use crate::deb::package::Archive;

/// An index of paragraphs in the form `name version` followed by further fields, separated by blank
/// lines.
fn index(paragraphs: &str) -> Index {
    let text: String = paragraphs
        .trim()
        .split("\n\n")
        .map(|paragraph| {
            let (first, rest) = paragraph.trim().split_once('\n').unwrap_or((paragraph.trim(), ""));
            let (name, version) = first.split_once(' ').expect("name and version");
            let fields: String = rest.lines().map(|line| format!("{}\n", line.trim())).collect();
            let sha256 = "0".repeat(64);
            format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}_{version}.deb\nSize: 1\nSHA256: {sha256}\n{fields}\n"
            )
        })
        .collect();
    Index::read("amd64", vec![(Archive::Main, text)]).expect("well-formed")
}

fn words(list: &str) -> BTreeSet<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

/// The set as `a=1 b=2`, or the error.
fn solve(index: &Index, wanted: &str, exclude: &str) -> String {
    match resolve(index, &words(wanted), &words(exclude)) {
        Ok(set) => set.iter().map(|one| format!("{}={}", one.name, one.version)).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    }
}

/// Solves `wanted` over `paragraphs`.
fn set(paragraphs: &str, wanted: &str) -> String {
    solve(&index(paragraphs), wanted, "")
}

#[test]
fn the_newest_version_and_its_dependencies_are_chosen() {
    let paragraphs = "a 1\nDepends: b (>= 1)\n\na 2\nPre-Depends: c\nDepends: b\n\nb 1~\n\nb 1\n\nc 1\n\nd 1";
    assert_eq!(set(paragraphs, "a"), "a=2 b=1 c=1");
    assert_eq!(set(paragraphs, "a=1"), "a=1 b=1");
    assert_eq!(set(paragraphs, "a d b"), "a=2 b=1 c=1 d=1");
    assert_eq!(set(paragraphs, ""), "");
}

#[test]
fn recommended_and_essential_packages_are_not_added() {
    assert_eq!(set("a 1\nRecommends: b\nSuggests: c\n\nb 1\n\nc 1\n\ne 1\nEssential: yes", "a"), "a=1");
}

#[test]
fn the_first_alternative_is_chosen_unless_another_is_present_or_it_is_impossible() {
    let paragraphs = "a 1\nDepends: x | y\n\nb 1\nDepends: y\n\nx 1\n\ny 1\n\nc 1\nDepends: gone | x (>> 1) | y";
    assert_eq!(set(paragraphs, "a"), "a=1 x=1");
    assert_eq!(set(paragraphs, "a y"), "a=1 y=1");
    // apt decides for a before it reads b, and never revises the decision.
    assert_eq!(set(paragraphs, "a b"), "a=1 b=1 x=1 y=1");
    assert_eq!(set(paragraphs, "c"), "c=1 y=1");
}

#[test]
fn an_alternative_whose_dependencies_fail_leaves_nothing_marked() {
    let paragraphs = "a 1\nDepends: x | y\n\nx 1\nDepends: z, w\n\nz 1\n\nw 1\nDepends: gone\n\ny 1";
    assert_eq!(set(paragraphs, "a"), "a=1 y=1");
}

#[test]
fn virtual_packages_prefer_the_real_one_then_essential_then_priority_then_the_last_seen() {
    let providers = "a 1\nDepends: mta\n\nx 1\nProvides: mta\nPriority: optional\n\ny 1\nProvides: mta\nPriority: important\n\n\
        z 1\nProvides: mta\nPriority: optional";
    assert_eq!(set(providers, "a"), "a=1 y=1");
    assert_eq!(set(&format!("{providers}\nEssential: yes"), "a"), "a=1 z=1");
    assert_eq!(set(&format!("{providers}\n\nmta 1\nPriority: extra"), "a"), "a=1 mta=1");
    assert_eq!(set("a 1\nDepends: v\n\nx 1\nProvides: v\n\ny 1\nProvides: v", "a"), "a=1 y=1");
    assert_eq!(set("a 1\nDepends: v\nSuggests: y, x\n\nx 1\nProvides: v\n\ny 1\nProvides: v", "a"), "a=1 x=1");
}

#[test]
fn versioned_relations_need_versioned_provides() {
    let paragraphs = "a 1\nDepends: v (>= 2)\n\nx 9\nProvides: v\n\ny 9\nProvides: v (= 1)\n\nz 1\nProvides: v (= 2)";
    assert_eq!(set(paragraphs, "a"), "a=1 z=1");
}

#[test]
fn architecture_qualifiers() {
    let paragraphs = "a 1\nDepends: p:any\n\nb 1\nDepends: q:any\n\nc 1\nDepends: q:amd64, q:native\n\nd 1\nDepends: q:i386\n\n\
        e 1\nDepends: lang:any\n\np 1\nMulti-Arch: allowed\nProvides: lang (= 3)\n\nq 1";
    assert_eq!(set(paragraphs, "a"), "a=1 p=1");
    assert_eq!(set(paragraphs, "c"), "c=1 q=1");
    assert_eq!(set(paragraphs, "e"), "e=1 p=1");
    assert_eq!(
        set(paragraphs, "b"),
        "the wanted packages cannot be installed together: b 1 (wanted) depends on q:any, which no package satisfies"
    );
    assert!(set(paragraphs, "d").contains("depends on q:i386, which no package satisfies"));
}

#[test]
fn cycles_are_supported() {
    let paragraphs = "a 1\nDepends: b\n\nb 1\nDepends: c, a\n\nc 1\nPre-Depends: a, c";
    assert_eq!(set(paragraphs, "a"), "a=1 b=1 c=1");
    assert_eq!(set(paragraphs, "c b"), "a=1 b=1 c=1");
}

#[test]
fn conflicts_lead_to_another_alternative() {
    let paragraphs = "a 1\nDepends: x | y\n\nx 1\n\ny 1\n\nn 1\nConflicts: x\n\nm 1\nBreaks: x (<< 1)\n\nk 1\nConflicts: v\nProvides: v\n\n\
        x2 1\nProvides: v\n\nw 1\nDepends: x2 | y";
    assert_eq!(set(paragraphs, "a n"), "a=1 n=1 y=1");
    assert_eq!(set(paragraphs, "a m"), "a=1 m=1 x=1");
    assert_eq!(set(paragraphs, "w k"), "k=1 w=1 y=1");
}

#[test]
fn breaks_of_a_dependency_found_late_are_solved_by_searching() {
    // apt's first choice for a is x; c, met later, breaks it without being protected, and only y is
    // compatible with c.
    let paragraphs = "a 1\nDepends: x | y\n\nb 1\nDepends: c\n\nx 1\n\ny 1\n\nc 1\nBreaks: x (<= 1)";
    assert_eq!(set(paragraphs, "a b"), "a=1 b=1 c=1 y=1");
}

#[test]
fn an_older_version_is_chosen_only_if_necessary() {
    let paragraphs = "a 1\nDepends: b (= 1)\n\nb 1\n\nb 2\n\nc 1\nDepends: b (= 1) | d\n\nd 1";
    assert_eq!(set(paragraphs, "a"), "a=1 b=1");
    assert_eq!(set(paragraphs, "c"), "c=1 d=1");
}

#[test]
fn excluded_packages_count_as_installed() {
    let paragraphs =
        "a 1\nDepends: perl (>= 5), perlapi, b\n\nperl 4\nDepends: c\nProvides: perlapi\n\nb 1\nConflicts: perl\n\nc 1";
    let index = index(paragraphs);
    assert_eq!(
        solve(&index, "a", ""),
        "the wanted packages cannot be installed together: a 1 (wanted) depends on perl (>= 5), which no package satisfies (available: perl 4)"
    );
    assert_eq!(solve(&index, "a", "perl"), "a=1 b=1");
    assert_eq!(solve(&index, "a", "perl b nothing"), "a=1");
    assert_eq!(
        solve(&index, "perl", "perl"),
        "package perl is both wanted and excluded: remove it from one of the lists"
    );
}

#[test]
fn the_order_of_paragraphs_and_archives_decides_only_ties() {
    let one = "a 1\nDepends: b | c\n\nb 1\n\nc 1";
    let other = "c 1\n\nb 1\n\na 1\nDepends: b | c";
    assert_eq!(set(one, "a"), set(other, "a"));
}

#[test]
fn wanted_words_are_checked() {
    let paragraphs =
        "containerd 1\n\ncontainers 1\n\nrunc 1\n\nrunc 2\n\nx 1\nProvides: mta, only\n\ny 1\nProvides: mta";
    assert_eq!(
        set(paragraphs, "contanerd"),
        "no package is named \"contanerd\" (did you mean \"containerd\" or \"containers\"?)"
    );
    assert_eq!(set(paragraphs, "nothing-like-it"), "no package is named \"nothing-like-it\"");
    assert_eq!(set(paragraphs, "runc=3"), "package runc has no version 3; available: 2, 1");
    assert_eq!(set(paragraphs, "runc=1"), "runc=1");
    assert_eq!(set(paragraphs, "runc=0:1 runc"), "runc=1");
    assert_eq!(
        set(paragraphs, "runc=1 runc=2"),
        "only one version of a package can be installed, but runc=1 and runc=2 are wanted"
    );
    assert_eq!(set(paragraphs, "mta"), "\"mta\" is a virtual package: choose one of its providers: x, y");
    assert_eq!(set(paragraphs, "only"), "x=1");
    assert_eq!(
        set(paragraphs, "runc="),
        "wanted package \"runc=\" is not of the form \"name\" or \"name=version\": \"\" is not a package version: the upstream version is empty"
    );
    assert!(set(paragraphs, "-o").contains("it is not a package name"));
}

#[test]
fn missing_packages_are_explained_with_their_chain() {
    let paragraphs = "a 1\nDepends: b (>= 2)\n\nb 2\nDepends: c | d\n\nc 1\nDepends: e (>= 3), f\n\ne 2\n\ne 1\n\nf 1";
    assert_eq!(
        set(paragraphs, "a"),
        "the wanted packages cannot be installed together: \
         a 1 (wanted) depends on b (>= 2) → b 2 depends on c | d → c 1 depends on e (>= 3), which no package satisfies (available: e 2, 1)"
    );
}

#[test]
fn conflicts_are_explained_from_both_sides() {
    let paragraphs = "a 1\nDepends: x\n\nb 1\nDepends: y\n\nx 1\nConflicts: y (<< 2)\n\ny 1";
    assert_eq!(
        set(paragraphs, "a b"),
        "the wanted packages cannot be installed together: \
         a 1 (wanted) depends on x → x 1 conflicts with y (<< 2), but b 1 (wanted) depends on y → y 1"
    );
}

#[test]
fn two_versions_of_one_package_are_explained() {
    let paragraphs = "a 1\nDepends: x (= 1)\n\nb 1\nDepends: x (= 2)\n\nx 1\n\nx 2";
    assert_eq!(
        set(paragraphs, "a b"),
        "the wanted packages cannot be installed together: only one version of x can be installed: \
         a 1 (wanted) depends on x (= 1) → x 1, but b 1 (wanted) depends on x (= 2) → x 2"
    );
}

#[test]
fn chains_deeper_than_apt_goes_are_searched() {
    let depth = 5000;
    let mut paragraphs: String = (0..depth).map(|n| format!("p{n} 1\nDepends: p{}\n\n", n + 1)).collect();
    paragraphs.push_str(&format!("p{depth} 1"));
    let set = resolve(&index(&paragraphs), &words("p0"), &words("")).expect("solvable");
    assert_eq!(set.len(), depth + 1);
}

mod random {
    use super::*;
    use proptest::prelude::*;

    /// Ten packages in up to two versions with few relations between them, some of which contradict
    /// each other.
    fn paragraphs() -> impl Strategy<Value = String> {
        let target = (0..10_u8, 0..4_u8).prop_map(|(name, version)| match version {
            0 => format!("p{name} (>= 2)"),
            1 => format!("p{name} (= 1)"),
            2 => format!("v{}", name % 3),
            _ => format!("p{name}"),
        });
        let group = proptest::collection::vec(target.clone(), 1..3).prop_map(|group| group.join(" | "));
        let depends = proptest::collection::vec(group, 0..3).prop_map(|groups| groups.join(", "));
        let conflicts = proptest::collection::vec(target, 0..2).prop_map(|targets| targets.join(", "));
        let package = (depends, conflicts, proptest::option::of(0..3_u8));
        proptest::collection::vec(package, 10..20).prop_map(|packages| {
            let paragraph = |(number, (depends, conflicts, provides)): (usize, (String, String, Option<u8>))| {
                let provides = provides.map_or(String::new(), |name| format!("\nProvides: v{name}"));
                let (depends, conflicts) = (format!("\nDepends: {depends}"), format!("\nConflicts: {conflicts}"));
                format!("p{} {}{depends}{conflicts}{provides}", number % 10, 1 + number / 10)
            };
            packages.into_iter().enumerate().map(paragraph).collect::<Vec<_>>().join("\n\n")
        })
    }

    /// Whether any of the subsets of all records is consistent: tried one by one.
    fn some_set_exists(index: &Index, request: &Request) -> bool {
        let choices: Vec<&[RecordId]> = index.names.iter().map(|name| name.versions.as_slice()).collect();
        let mut chosen = BTreeSet::new();
        try_all(index, request, &choices, &mut chosen)
    }

    fn try_all(index: &Index, request: &Request, rest: &[&[RecordId]], chosen: &mut BTreeSet<RecordId>) -> bool {
        let Some((versions, rest)) = rest.split_first() else { return is_consistent(index, request, chosen) };
        try_all(index, request, rest, chosen)
            || versions.iter().any(|version| {
                chosen.insert(*version);
                let found = try_all(index, request, rest, chosen);
                chosen.remove(version);
                found
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn a_set_is_consistent_and_a_rejection_is_correct(paragraphs in paragraphs()) {
            let index = index(&paragraphs);
            let (wanted, exclude) = (words("p0 p1"), words("p9"));
            let request = Request::new(&index, &wanted, &exclude).expect("both exist");
            match resolve(&index, &wanted, &exclude) {
                Ok(set) => {
                    let chosen = set.iter().map(|package| {
                        let name = &index.names[index.find(&package.name).expect("known").at()];
                        let same = |record: &&RecordId| index.version(**record) == package.version.as_str();
                        *name.versions.iter().find(same).expect("known")
                    });
                    let chosen: BTreeSet<RecordId> = chosen.collect();
                    prop_assert!(is_consistent(&index, &request, &chosen), "{:?}", set);
                    let names: BTreeSet<_> = set.iter().map(|package| &package.name).collect();
                    prop_assert_eq!(names.len(), set.len());
                    prop_assert!(!names.contains(&"p9".to_owned()));
                }
                Err(ResolveError::Impossible { reasons }) => {
                    prop_assert!(!reasons.is_empty());
                    prop_assert!(!some_set_exists(&index, &request), "{:?}", reasons);
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
