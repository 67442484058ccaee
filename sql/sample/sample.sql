-- Two organizations and their people, for the demo and the tests. Ids are fixed: scripts and tests name them.
--
--   usr_editor     edits everything and syncs, in both organizations
--   usr_second     the same in RIO only: whoever needs two authors of one record
--   usr_planner    edits forecasts but not actuals, and syncs, in RIO
--   usr_viewer     reads, in both
--   usr_admin      role admin: every permission, everywhere
--   usr_former     may edit on paper, but is no longer active

insert into "organizations" ("id", "code", "name", "updatedAt") values
    ('org_RIO_173', 'RIO', 'Rio Terminal Expansion', now() at time zone 'utc'),
    ('org_HARBOUR_7', 'HARBOUR', 'Harbour Renewal', now() at time zone 'utc');

insert into "users" ("id", "username", "email", "firstName", "lastName", "role", "isActive", "updatedAt") values
    ('usr_editor', 'edith', 'edith@example.com', 'Edith', 'Araújo', 'user', true, now() at time zone 'utc'),
    ('usr_second', 'simon', 'simon@example.com', 'Simon', 'Okafor', 'user', true, now() at time zone 'utc'),
    ('usr_planner', 'paula', null, 'Paula', 'Lindqvist', 'user', true, now() at time zone 'utc'),
    ('usr_viewer', 'viktor', 'viktor@example.com', 'Viktor', 'Hahn', 'user', true, now() at time zone 'utc'),
    ('usr_admin', 'ada', 'ada@example.com', 'Ada', 'Moreau', 'admin', true, now() at time zone 'utc'),
    ('usr_former', 'felix', 'felix@example.com', 'Felix', 'Nagy', 'user', false, now() at time zone 'utc');

insert into "user_organizations"
    ("id", "userId", "organizationId", "role", "perm_EditForecast", "perm_EditActuals", "perm_Delete", "perm_Import",
     "perm_RefreshData", "perm_Export", "perm_ViewFinancials", "perm_SaveDraft", "perm_Sync", "modifiedAt")
select 'mbr_' || substr(may."user", 5) || '_' || o."code", may."user", o."id", may."role",
       may."edits", may."actuals", may."actuals", may."actuals", may."edits", true, may."edits", may."edits",
       may."edits",
       now() at time zone 'utc'
  from "organizations" o
  join (values
        ('usr_editor', array['RIO', 'HARBOUR'], 'editor', true, true),
        ('usr_second', array['RIO'], 'editor', true, true),
        ('usr_planner', array['RIO'], 'planner', true, false),
        ('usr_viewer', array['RIO', 'HARBOUR'], 'viewer', false, false),
        ('usr_former', array['RIO'], 'editor', true, true)
       ) as may ("user", "codes", "role", "edits", "actuals") on o."code" = any (may."codes");
