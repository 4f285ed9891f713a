BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0006');
CREATE TABLE aliases (
	name TEXT NOT NULL, 
	entry INTEGER NOT NULL, 
	PRIMARY KEY (name), 
	FOREIGN KEY(entry) REFERENCES entries (number)
);
INSERT INTO "aliases" VALUES('https://example.org/news/0?id=7',1);
INSERT INTO "aliases" VALUES('2024-04-04T22:31:42Z 北约 1',2);
CREATE TABLE announced (
	hub TEXT NOT NULL, 
	topic TEXT NOT NULL, 
	version TEXT NOT NULL, 
	PRIMARY KEY (hub, topic)
);
INSERT INTO "announced" VALUES('https://hub.example.org/','https://feeds.example.org/feed.atom','2024-05-01T12:00:00+00:00');
CREATE TABLE archive_entries (
	entry INTEGER NOT NULL, 
	archive INTEGER NOT NULL, 
	page INTEGER NOT NULL, 
	updated BIGINT, 
	PRIMARY KEY (entry, archive, page), 
	FOREIGN KEY(entry) REFERENCES entries (number), 
	FOREIGN KEY(archive) REFERENCES archives (number)
)
 WITHOUT ROWID

;
INSERT INTO "archive_entries" VALUES(1,1,1,1712183502);
INSERT INTO "archive_entries" VALUES(2,1,0,NULL);
CREATE TABLE archive_pages (
	archive INTEGER NOT NULL, 
	page INTEGER NOT NULL, 
	body BLOB NOT NULL, 
	modified BIGINT NOT NULL, 
	PRIMARY KEY (archive, page), 
	FOREIGN KEY(archive) REFERENCES archives (number)
);
INSERT INTO "archive_pages" VALUES(1,1,X'789CB554DD8AD43014BEF7294A2F662ED63699767E76BA6916C1F501647D804C93B659D3B424E9CCCE0388085E2B8B37822078E1BD88DEF82CEE8A6F61D2E9CC0EBB22A22C94D29E7CE77CE77CE76BD1F17925BC25539AD7321D8E4238F498CC6ACA65910E9F9C3E0A0E87C7F81ECA19A39E854A9DE465EA97C63409004DAB4458AB02E8B5A43C23C6160125D7A6566B606BF99B941D7EB55A85ABB8CB88209C8007A6AE7C8C38C5AD9249DB729A4CE13C9B45300EA6F18404E345B408E6872C0FE2594EE39840188F2608D80C64B8110C9F9C93AA110C81CD2B6A1B4A0CA33882D13880F68A4FA3288947C9383A80308110812D0491D694B5C248928AE1D392792794DBD635025D04812D4070F9D42B15CB3793683B0A99D05916E570BE60A3713C3D0C9D427A99855C2E89E01474EFDD1D1095957CC9AC22C40DEC2926525F3391FB9E59372CF549D388AD7C0E726065F3C1BFF3EEF364AD524C9ABBA2BA3162B44F2DD9B909FA93BBE0EF6988304C49BBD22D87B1BCA0349BC205934C5926B573B90F43E74DDC97436007B156CC6A89FFBA01870E1B59A0EE09A3BC4CB64260644557EBCEDC861409DBF8D479FFFEB53793B1608234677C4A276D398EA6FBD6BE7CF9FAC7E7F71EFC7F6F5F7E79FBFDD38B5BB6B63D1BDB65AF5A27181E0873D40C0A7374F5F1DDD5ABE71E7401D045DC13AF0A4FABEC7A493610EECD066078D614BE8323D0D7FFED72F773245B69008F394D67B7566A85D46D5511B5DE5BAE8FB7DD21D09FDA692CBCA81D8EA92AF52FDF7CFD79F1CCE5DF38783CB0CC470FDD49D32E04D7E59F25BD0621C58BD268FCED83E7F0DEEEDFD3C711E877DE7D13F8170DB5D3F0',1712183502);
CREATE TABLE archives (
	number INTEGER NOT NULL, 
	feed VARCHAR(64) NOT NULL, 
	membership VARCHAR(64) NOT NULL, 
	first INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (feed)
);
INSERT INTO "archives" VALUES(1,'feed','',1,1);
CREATE TABLE articles (
	dump INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	entry INTEGER NOT NULL, 
	published BIGINT NOT NULL, 
	PRIMARY KEY (dump, position), 
	FOREIGN KEY(dump) REFERENCES dumps (id), 
	FOREIGN KEY(entry) REFERENCES entries (number)
);
INSERT INTO "articles" VALUES(1,0,1,1712183502);
INSERT INTO "articles" VALUES(1,1,2,1712269902);
CREATE TABLE drift (
	source TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	since INTEGER NOT NULL, 
	at INTEGER NOT NULL, 
	matched INTEGER NOT NULL, 
	match_fast FLOAT NOT NULL, 
	match_slow FLOAT NOT NULL, 
	share_fast FLOAT NOT NULL, 
	share_slow FLOAT NOT NULL, 
	alarm VARCHAR(16), 
	message TEXT, 
	began BIGINT, 
	PRIMARY KEY (source, rule)
);
CREATE TABLE drift_sources (
	source TEXT NOT NULL, 
	dumps INTEGER NOT NULL, 
	cleaner VARCHAR(64) NOT NULL, 
	since INTEGER NOT NULL, 
	PRIMARY KEY (source)
);
CREATE TABLE dumps (
	id INTEGER NOT NULL, 
	path BLOB NOT NULL, 
	size BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	reason TEXT, 
	line INTEGER, 
	raw BLOB, 
	seen BIGINT NOT NULL, 
	gone BIGINT, 
	PRIMARY KEY (id), 
	UNIQUE (path)
);
INSERT INTO "dumps" VALUES(1,X'2F64756D70732F612E747874',33,1712180702000000001,'100e9b15dc84bde254048fa26d7805b1956e3ea48912ae631ad7f6370ce45276','published',NULL,NULL,X'789CB351D4D53534373432B430303730323030D0D5B553D04F29CD2D28D64FD42BA9280100780B0873',1714564800,NULL);
CREATE TABLE entries (
	number INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	"key" VARCHAR(32) NOT NULL, 
	title TEXT NOT NULL, 
	link TEXT, 
	published BIGINT NOT NULL, 
	updated BIGINT NOT NULL, 
	author TEXT, 
	source TEXT, 
	categories JSON NOT NULL, 
	language TEXT, 
	content TEXT NOT NULL, 
	text TEXT NOT NULL, 
	summary TEXT NOT NULL, 
	rights TEXT, 
	images JSON NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	cleaner VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	dump INTEGER, 
	position INTEGER, alternates JSON DEFAULT '[]' NOT NULL, stood_back BOOLEAN DEFAULT 0 NOT NULL, revision BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id), 
	UNIQUE ("key"), 
	FOREIGN KEY(dump) REFERENCES dumps (id)
);
INSERT INTO "entries" VALUES(1,'tag:example.org,2024-04-03:4lelapji6d5uh426','4lelapji6d5uh426','北约 0','https://example.org/news/0?id=7',1712183502,1712183502,'张三','Example News','["\u56fd\u9645", "R&D"]','zh','<p>正文 0</p><img src="https://img.example.org/0.jpg">','正文 0','正文 0','© 2024 Example','["https://img.example.org/0.jpg"]','05db9ef38804322f532c5ba995b66003278eb842e4f54380c601595f473982ab','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','live',1,0,'[]',0,0);
INSERT INTO "entries" VALUES(2,'tag:feedsvc.invalid,2024-04-04:lezw2bi32jdeerge','lezw2bi32jdeerge','北约 1',NULL,1712269902,1712269902,NULL,'Example News','[]','zh','<p>正文 1</p><img src="https://img.example.org/1.jpg">','正文 1','正文 1',NULL,'[]','1d5f8e34f1b568fb61537df9b5ea51ba1a22346d5f77c8a08dfdfcec2078932e','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','live',1,1,'[]',0,0);
CREATE TABLE feeds (
	name VARCHAR(64) NOT NULL, 
	id TEXT NOT NULL, 
	born BIGINT NOT NULL, 
	digest VARCHAR(64), 
	last_modified BIGINT, 
	PRIMARY KEY (name), 
	UNIQUE (id)
);
INSERT INTO "feeds" VALUES('feed','urn:uuid:609c7203-635a-4b2b-98ef-37fd33a00315',1714564800,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1714564800);
CREATE TABLE incidents (
	number INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	message TEXT NOT NULL, 
	since BIGINT NOT NULL, 
	changed BIGINT NOT NULL, 
	ended BIGINT, 
	PRIMARY KEY (number)
);
INSERT INTO "incidents" VALUES(1,'job:rescan','rescan failed: no',1714564800,1714564800,NULL);
CREATE TABLE learned_blocks (
	source TEXT NOT NULL, 
	block VARCHAR(16) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	sign VARCHAR(16) NOT NULL, 
	links VARCHAR(16), 
	text TEXT NOT NULL, 
	PRIMARY KEY (source, block)
);
CREATE TABLE learned_sources (
	source TEXT NOT NULL, 
	dumps INTEGER NOT NULL, 
	changes INTEGER NOT NULL, 
	PRIMARY KEY (source)
);
CREATE TABLE left_out (
	"key" VARCHAR(32) NOT NULL, 
	reason TEXT NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	since BIGINT NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE problems (
	"key" TEXT NOT NULL, 
	message TEXT NOT NULL, 
	since BIGINT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "problems" VALUES('job:rescan','rescan failed: no',1714564800);
CREATE TABLE published (
	"key" VARCHAR(32) NOT NULL, 
	id TEXT NOT NULL, 
	updated BIGINT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	origin VARCHAR(64), 
	PRIMARY KEY ("key")
);
INSERT INTO "published" VALUES('lezw2bi32jdeerge','tag:feedsvc.invalid,2024-04-04:lezw2bi32jdeerge',1712269902,'1d5f8e34f1b568fb61537df9b5ea51ba1a22346d5f77c8a08dfdfcec2078932e','100e9b15dc84bde254048fa26d7805b1956e3ea48912ae631ad7f6370ce45276');
INSERT INTO "published" VALUES('4lelapji6d5uh426','tag:example.org,2024-04-03:4lelapji6d5uh426',1712183502,'05db9ef38804322f532c5ba995b66003278eb842e4f54380c601595f473982ab','100e9b15dc84bde254048fa26d7805b1956e3ea48912ae631ad7f6370ce45276');
CREATE TABLE removals (
	entry INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	rule TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	text TEXT NOT NULL, 
	html TEXT NOT NULL, restored BOOLEAN DEFAULT 0 NOT NULL, 
	PRIMARY KEY (entry, position), 
	FOREIGN KEY(entry) REFERENCES entries (number)
);
INSERT INTO "removals" VALUES(1,0,'share-links','links that share','分享 :','<div>分享 :</div>',0);
CREATE TABLE restored (
	entry INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	rule TEXT NOT NULL, 
	PRIMARY KEY (entry, digest), 
	FOREIGN KEY(entry) REFERENCES entries (number)
);
CREATE TABLE revisions (
	number BIGINT NOT NULL
, archived BIGINT DEFAULT '0' NOT NULL);
INSERT INTO "revisions" VALUES(0,0);
CREATE TABLE rulesets (
	digest VARCHAR(64) NOT NULL, 
	version TEXT NOT NULL, 
	rules TEXT NOT NULL, 
	live BIGINT NOT NULL, 
	PRIMARY KEY (digest)
);
CREATE TABLE sighted_blocks (
	source TEXT NOT NULL, 
	block VARCHAR(16) NOT NULL, 
	shape TEXT NOT NULL, 
	count INTEGER NOT NULL, 
	missed INTEGER NOT NULL, 
	edge INTEGER NOT NULL, 
	closes INTEGER NOT NULL, 
	leads INTEGER NOT NULL, 
	links VARCHAR(16) NOT NULL, 
	same INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (source, block, shape)
)
 WITHOUT ROWID

;
CREATE TABLE sighted_shapes (
	source TEXT NOT NULL, 
	shape TEXT NOT NULL, 
	seen INTEGER NOT NULL, 
	fresh INTEGER NOT NULL, 
	missed INTEGER NOT NULL, 
	PRIMARY KEY (source, shape)
)
 WITHOUT ROWID

;
CREATE TABLE source_feeds (
	source TEXT NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	PRIMARY KEY (source), 
	UNIQUE (name)
);
CREATE INDEX ix_dumps_outcome ON dumps (outcome);
CREATE INDEX ix_entries_cleaner ON entries (cleaner);
CREATE INDEX entries_by_published ON entries (state, published);
CREATE INDEX ix_articles_entry ON articles (entry);
CREATE INDEX ix_aliases_entry ON aliases (entry);
CREATE INDEX ix_removals_rule ON removals (rule);
CREATE INDEX ix_entries_stood_back ON entries (stood_back);
CREATE INDEX entries_by_source ON entries (source);
CREATE INDEX ix_entries_revision ON entries (revision);
CREATE INDEX archive_entries_by_page ON archive_entries (archive, page);
CREATE INDEX entries_by_number ON entries (state, number, updated);
CREATE INDEX dumps_by_outcome ON dumps (gone, outcome);
COMMIT;
